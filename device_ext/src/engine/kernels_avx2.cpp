#include <immintrin.h>

#include <cstring>
#include <type_traits>

#include "kernels.h"
#include "normal.h"

namespace warmtile {
namespace {
#include "kernels_common.inl"
#include "kernels_x86.inl"

inline uint32_t linesThatFire(__m256 low, __m256 high, float scale, Key32 key, int begin) {
  const __m256 s = _mm256_set1_ps(scale);
  const __m256i index =
      _mm256_add_epi32(_mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0), _mm256_set1_epi32(begin));
  const auto fired = [&](__m256 values, __m256i lines) {
    const __m256 bits = _mm256_cvtepi32_ps(_mm256_srli_epi32(draw8(key, lines), 8));
    return (uint32_t)_mm256_movemask_ps(
        _mm256_cmp_ps(bits, _mm256_mul_ps(values, s), _CMP_LT_OQ));
  };
  return fired(low, index) | fired(high, _mm256_add_epi32(index, _mm256_set1_epi32(8))) << 8;
}

float absMax(const float *v, int n) {
  // Four maxima side by side: one alone would wait for itself at every step.
  __m256 m[4] = {
      _mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps()};
  int j = 0;
  for (; j + 32 <= n; j += 32) {
    for (int k = 0; k < 4; k++) {
      m[k] = _mm256_max_ps(m[k], abs8(_mm256_loadu_ps(v + j + 8 * k)));
    }
  }
  for (; j + 8 <= n; j += 8) {
    m[0] = _mm256_max_ps(m[0], abs8(_mm256_loadu_ps(v + j)));
  }
  float lanes[8];
  _mm256_storeu_ps(lanes, _mm256_max_ps(_mm256_max_ps(m[0], m[1]), _mm256_max_ps(m[2], m[3])));
  return absMaxTail(v, j, n, absMaxTail(lanes, 0, 8, 0.0f));
}
} // namespace

const Kernels kernels_avx2 = {
    "avx2", absMax, survey, trainScales, mayFire, fire, addProducts, normals, pulse};

} // namespace warmtile
