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

/** out[k][0..3] = in[0..3][k] */
inline void transpose4(const float *const (&in)[4], float *const (&out)[4]) {
#if defined(__SSE__)
  __m128 a = _mm_loadu_ps(in[0]);
  __m128 b = _mm_loadu_ps(in[1]);
  __m128 c = _mm_loadu_ps(in[2]);
  __m128 d = _mm_loadu_ps(in[3]);
  _MM_TRANSPOSE4_PS(a, b, c, d);
  _mm_storeu_ps(out[0], a);
  _mm_storeu_ps(out[1], b);
  _mm_storeu_ps(out[2], c);
  _mm_storeu_ps(out[3], d);
#else
  for (int k = 0; k < 4; k++) {
    for (int i = 0; i < 4; i++) {
      out[k][i] = in[i][k];
    }
  }
#endif
}

/** Four vectors that lie side by side. */
void copySideBySide(
    const float *source, const LineOffsets &lines, int n_lines, float *rows, int64_t row_stride) {
  int j = 0;
  for (; j + 4 <= n_lines; j += 4) {
    transpose4(
        {source + lines[j], source + lines[j + 1], source + lines[j + 2], source + lines[j + 3]},
        {rows + j, rows + row_stride + j, rows + 2 * row_stride + j, rows + 3 * row_stride + j});
  }
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

void copyColumns(
    const VectorBatch &batch, int first, int n, int n_lines, float *columns, int64_t column_stride) {
  const LineOffsets lines{batch};
  const bool contiguous = batch.line_offsets == nullptr && batch.line_stride == 1;
  for (int v = 0; v < n;) {
    const float *source = batch.data + vectorOffset(batch, first + v);
    const int neighbours = std::min(neighboursFrom(batch, first + v), n - v);
    if (contiguous) {
      transposeRows(source, batch.inner_stride, neighbours, n_lines, columns + v, column_stride);
    } else {
      for (int j = 0; j < n_lines; j++) {
        const float *line = source + lines[j];
        for (int k = 0; k < neighbours; k++) {
          columns[j * column_stride + v + k] = line[k * batch.inner_stride];
        }
      }
    }
    v += neighbours;
  }
}

void transposeRows(
    const float *rows, int64_t row_stride, int n, int n_lines, float *columns, int64_t column_stride) {
  // Sixteen vectors at a time: a column's cache line is written at once. Columns often fall onto the
  // same few sets of the cache, which would not hold them.
  constexpr int at_a_time = 16;
  for (int first = 0; first < n; first += at_a_time) {
    const int end = std::min(first + at_a_time, n);
    int j = 0;
    for (; j + 4 <= n_lines; j += 4) {
      float *to = columns + j * column_stride;
      int v = first;
      for (; v + 4 <= end; v += 4) {
        const float *row = rows + v * row_stride + j;
        transpose4(
            {row, row + row_stride, row + 2 * row_stride, row + 3 * row_stride},
            {to + v, to + column_stride + v, to + 2 * column_stride + v,
             to + 3 * column_stride + v});
      }
      for (; v < end; v++) {
        for (int k = 0; k < 4; k++) {
          to[k * column_stride + v] = rows[v * row_stride + j + k];
        }
      }
    }
    for (; j < n_lines; j++) {
      for (int v = first; v < end; v++) {
        columns[j * column_stride + v] = rows[v * row_stride + j];
      }
    }
  }
}

} // namespace warmtile
