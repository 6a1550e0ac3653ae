// Standard normal numbers without library calls.
#pragma once

#include <cmath>

#include "keys.h"

namespace warmtile {
namespace {

/**
 * Standard normal from 32 random bits: sqrt(2) * erfinv(x) with x uniform on 2**23 symmetric
 * points in (-1, 1), so |result| < 5.3.
 *
 * Polynomials for erfinv in single precision: M. Giles, "Approximating the erfinv function", GPU
 * Computing Gems Jade, 2012. Branch-free, so that the loop around it vectorises.
 */
WARMTILE_HD float normal(uint32_t bits) {
  const float x = (float)((int32_t)((bits >> 9) * 2 + 1) - 8388608) * 1.1920928955078125e-7f;
  const float w = -logPositive((1.0f - x) * (1.0f + x));

  const float c = w - 2.5f;
  float central = 2.81022636e-08f;
  central = central * c + 3.43273939e-07f;
  central = central * c + -3.5233877e-06f;
  central = central * c + -4.39150654e-06f;
  central = central * c + 0.00021858087f;
  central = central * c + -0.00125372503f;
  central = central * c + -0.00417768164f;
  central = central * c + 0.246640727f;
  central = central * c + 1.50140941f;

  const float t = std::sqrt(w) - 3.0f;
  float tail = -0.000200214257f;
  tail = tail * t + 0.000100950558f;
  tail = tail * t + 0.00134934322f;
  tail = tail * t + -0.00367342844f;
  tail = tail * t + 0.00573950773f;
  tail = tail * t + -0.0076224613f;
  tail = tail * t + 0.00943887047f;
  tail = tail * t + 1.00167406f;
  tail = tail * t + 2.83297682f;

  return 1.41421356f * x * (w < 5.0f ? central : tail);
}

} // namespace
} // namespace warmtile
