// Standard normal numbers without library calls: sqrt(2) * erfinv(x) with x uniform on 2**23
// symmetric points in (-1, 1), so that none is beyond 5.3.
//
// Polynomials for erfinv in single precision: M. Giles, "Approximating the erfinv function", GPU
// Computing Gems Jade, 2012.
#pragma once

#include <cmath>

#include "keys.h"

namespace warmtile {
namespace {

/** Uniform on 2**23 symmetric points in (-1, 1). */
WARMTILE_HD float symmetric(uint32_t bits) {
  return (float)((int32_t)((bits >> 9) * 2 + 1) - 8388608) * 1.1920928955078125e-7f;
}

/** Depth of x in a tail of the normal law, 0 in its middle: what both polynomials are in. */
WARMTILE_HD float tailDepth(float x) { return -logPositive((1.0f - x) * (1.0f + x)); }

/** Depths from here on, one in 300, have a polynomial of their own. */
constexpr float deep_tail = 5.0f;

/** sqrt(2) erfinv(x), of depth w below `deep_tail`. */
WARMTILE_HD float centralNormal(float x, float w) {
  const float c = w - 2.5f;
  float p = 2.81022636e-08f;
  p = p * c + 3.43273939e-07f;
  p = p * c + -3.5233877e-06f;
  p = p * c + -4.39150654e-06f;
  p = p * c + 0.00021858087f;
  p = p * c + -0.00125372503f;
  p = p * c + -0.00417768164f;
  p = p * c + 0.246640727f;
  p = p * c + 1.50140941f;
  return 1.41421356f * x * p;
}

/** The same of depths from `deep_tail` on. */
WARMTILE_HD float deepNormal(float x, float w) {
  const float t = std::sqrt(w) - 3.0f;
  float p = -0.000200214257f;
  p = p * t + 0.000100950558f;
  p = p * t + 0.00134934322f;
  p = p * t + -0.00367342844f;
  p = p * t + 0.00573950773f;
  p = p * t + -0.0076224613f;
  p = p * t + 0.00943887047f;
  p = p * t + 1.00167406f;
  p = p * t + 2.83297682f;
  return 1.41421356f * x * p;
}

} // namespace
} // namespace warmtile
