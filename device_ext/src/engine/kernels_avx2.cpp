#include <immintrin.h>

#include "kernels.h"
#include "normal.h"

namespace warmtile {
namespace {
#include "kernels_common.inl"

inline __m256i draw8(Key32 key, __m256i index) {
  __m256i h = _mm256_add_epi32(index, _mm256_set1_epi32((int)key.a));
  h = _mm256_xor_si256(h, _mm256_srli_epi32(h, 17));
  h = _mm256_mullo_epi32(h, _mm256_set1_epi32((int)0xed5ad4bbu));
  h = _mm256_xor_si256(h, _mm256_set1_epi32((int)key.b));
  h = _mm256_xor_si256(h, _mm256_srli_epi32(h, 11));
  h = _mm256_mullo_epi32(h, _mm256_set1_epi32((int)0xac4c1b51u));
  h = _mm256_xor_si256(h, _mm256_srli_epi32(h, 15));
  h = _mm256_mullo_epi32(h, _mm256_set1_epi32((int)0x31848babu));
  return _mm256_xor_si256(h, _mm256_srli_epi32(h, 14));
}

inline __m256 abs8(__m256 v) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), v); }

float absMax(const float *v, int n) {
  __m256 m = _mm256_setzero_ps();
  int j = 0;
  for (; j + 8 <= n; j += 8) {
    m = _mm256_max_ps(m, abs8(_mm256_loadu_ps(v + j)));
  }
  float lanes[8];
  _mm256_storeu_ps(lanes, m);
  return absMaxTail(v, j, n, absMaxTail(lanes, 0, 8, 0.0f));
}

int fire(const float *v, int n, float p, Key32 key, int32_t *out) {
  const float threshold_scale = p * two_to_24;
  const __m256 scale = _mm256_set1_ps(threshold_scale);
  const __m256i lanes = _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0);
  int count = 0;
  int j = 0;
  for (; j + 8 <= n; j += 8) {
    const __m256 values = _mm256_loadu_ps(v + j);
    const __m256i index = _mm256_add_epi32(lanes, _mm256_set1_epi32(j));
    const __m256 bits = _mm256_cvtepi32_ps(_mm256_srli_epi32(draw8(key, index), 8));
    unsigned fired = (unsigned)_mm256_movemask_ps(
        _mm256_cmp_ps(bits, _mm256_mul_ps(abs8(values), scale), _CMP_LT_OQ));
    while (fired != 0) {
      const int line = j + __builtin_ctz(fired);
      out[count++] = v[line] < 0.0f ? -(line + 1) : line + 1;
      fired &= fired - 1;
    }
  }
  return count + fireTail(v, j, n, threshold_scale, key, out + count);
}
} // namespace

const Kernels kernels_avx2 = {"avx2", absMax, fire, pulse};

} // namespace warmtile
