#include "engine/vectors.h"

#include <algorithm>
#include <cstring>

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

namespace warmtile {

namespace {

/** Offsets of a vector's lines from its first. */
struct LineOffsets {
  const VectorBatch &batch;
  int64_t operator[](int j) const {
    return batch.line_offsets == nullptr ? j * batch.line_stride : batch.line_offsets[j];
  }
};

/** Four vectors that lie side by side. */
void copySideBySide(
    const float *source, const LineOffsets &lines, int n_lines, float *rows, int64_t row_stride) {
  int j = 0;
#if defined(__SSE__)
  for (; j + 4 <= n_lines; j += 4) {
    __m128 a = _mm_loadu_ps(source + lines[j]);
    __m128 b = _mm_loadu_ps(source + lines[j + 1]);
    __m128 c = _mm_loadu_ps(source + lines[j + 2]);
    __m128 d = _mm_loadu_ps(source + lines[j + 3]);
    _MM_TRANSPOSE4_PS(a, b, c, d);
    _mm_storeu_ps(rows + j, a);
    _mm_storeu_ps(rows + row_stride + j, b);
    _mm_storeu_ps(rows + 2 * row_stride + j, c);
    _mm_storeu_ps(rows + 3 * row_stride + j, d);
  }
#endif
  for (; j < n_lines; j++) {
    const float *line = source + lines[j];
    for (int v = 0; v < 4; v++) {
      rows[v * row_stride + j] = line[v];
    }
  }
}

} // namespace

void copyVectors(
    const VectorBatch &batch, int first, int n, int n_lines, float *rows, int64_t row_stride) {
  const LineOffsets lines{batch};
  const bool contiguous = batch.line_offsets == nullptr && batch.line_stride == 1;
  for (int v = 0; v < n;) {
    const float *source = batch.data + vectorOffset(batch, first + v);
    const int neighbours = std::min(neighboursFrom(batch, first + v), n - v);
    float *row = rows + v * row_stride;
    if (contiguous) {
      std::memcpy(row, source, (size_t)n_lines * sizeof(float));
      v++;
    } else if (batch.inner_stride == 1 && neighbours >= 4) {
      copySideBySide(source, lines, n_lines, row, row_stride);
      v += 4;
    } else {
      for (int j = 0; j < n_lines; j++) {
        const float *line = source + lines[j];
        for (int k = 0; k < neighbours; k++) {
          row[k * row_stride + j] = line[k * batch.inner_stride];
        }
      }
      v += neighbours;
    }
  }
}

} // namespace warmtile
