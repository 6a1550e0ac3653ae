// Keyed, stateless random numbers. Everything random is a pure function of a key, so nothing is
// global, nothing has to be saved, and the order of evaluation does not matter. Plain integer and
// float arithmetic only: the same header gives the same bits on any CPU, and on a GPU.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__CUDACC__)
#define WARMTILE_HD __host__ __device__ inline
#else
#define WARMTILE_HD inline
#endif

namespace warmtile {

/** The two 32-bit halves of a key, as draw() takes them. */
struct Key32 {
  uint32_t a;
  uint32_t b;
};

namespace { // internal linkage: each translation unit is compiled for its own instruction set

/** SplitMix64's output function (Steele, Lea & Flood 2014): a bijection of 64 bits. */
WARMTILE_HD uint64_t mix64(uint64_t z) {
  z += 0x9e3779b97f4a7c15ULL;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

/** Derives the key of a child from its parent's key and its index. */
WARMTILE_HD uint64_t childKey(uint64_t key, uint64_t index) {
  return mix64(key ^ mix64(index * 0xd1342543de82ef95ULL + 0x2545f4914f6cdd1dULL));
}

WARMTILE_HD Key32 split(uint64_t key) { return {(uint32_t)key, (uint32_t)(key >> 32)}; }

/**
 * 32 random bits of position `index` in the stream of a key.
 *
 * Three rounds of xor-shift and multiply, as in the hash functions of C. Wellons' "hash
 * prospector" search; the second half of the key enters between the rounds, so that two streams
 * are not shifted copies of each other. Multiplications are 32-bit: they vectorise.
 */
WARMTILE_HD uint32_t draw(Key32 key, uint32_t index) {
  uint32_t h = index + key.a;
  h ^= h >> 17;
  h *= 0xed5ad4bbu;
  h ^= key.b;
  h ^= h >> 11;
  h *= 0xac4c1b51u;
  h ^= h >> 15;
  h *= 0x31848babu;
  h ^= h >> 14;
  return h;
}

/** Uniform in [0, 1), a multiple of 2**-24: exact in float. */
WARMTILE_HD float uniform(uint32_t bits) { return (float)(bits >> 8) * 5.9604644775390625e-8f; }

/** Natural logarithm of a positive normal float, relative error below 3e-7; no library call, so
 * that every machine gives the same bits. */
WARMTILE_HD float logPositive(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  // Mantissa in [sqrt(1/2), sqrt(2)): the series in s = (m-1)/(m+1) converges fast there.
  const uint32_t shifted = bits - 0x3f3504f3u;
  const int32_t exponent = (int32_t)shifted >> 23;
  const uint32_t mantissa_bits = (shifted & 0x007fffffu) + 0x3f3504f3u;
  float m;
  std::memcpy(&m, &mantissa_bits, sizeof m);
  const float s = (m - 1.0f) / (m + 1.0f);
  const float t = s * s;
  const float series =
      2.0f * s *
      (1.0f + t * (0.333333333f + t * (0.2f + t * (0.142857143f + t * 0.111111111f))));
  return (float)exponent * 0.693147181f + series;
}

/** e**x for |x| up to 87 (beyond, the value at the limit), relative error below 3e-7. */
WARMTILE_HD float exponential(float x) {
  x = x < -87.0f ? -87.0f : (x > 87.0f ? 87.0f : x);
  // x = n ln 2 + r with |r| <= ln(2) / 2; ln 2 in two parts, so that n ln 2 is exact enough.
  const float shifted = x * 1.44269504f;
  const int32_t n = (int32_t)(shifted < 0.0f ? shifted - 0.5f : shifted + 0.5f);
  const float r = (x - (float)n * 0.693145752f) - (float)n * 1.42860677e-6f;
  const float series =
      1.0f +
      r * (1.0f +
           r * (0.5f +
                r * (0.166666667f +
                     r * (0.0416666667f + r * (0.00833333333f + r * 0.00138888889f)))));
  const uint32_t bits = (uint32_t)(n + 127) << 23;
  float power;
  std::memcpy(&power, &bits, sizeof power);
  return series * power;
}

/** base**exponent for base >= 0; 0 for base 0. */
WARMTILE_HD float powerOf(float base, float exponent) {
  return base > 1e-37f ? exponential(exponent * logPositive(base)) : 0.0f;
}

} // namespace
} // namespace warmtile
