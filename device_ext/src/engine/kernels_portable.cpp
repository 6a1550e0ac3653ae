#include "kernels.h"
#include "normal.h"

namespace warmtile {
namespace {
#include "kernels_common.inl"

float absMax(const float *v, int n) { return absMaxTail(v, 0, n, 0.0f); }

int fire(const float *v, int n, float p, Key32 key, int32_t *out) {
  return fireTail(v, 0, n, p * two_to_24, key, out);
}
} // namespace

const Kernels kernels_portable = {"portable", absMax, fire, pulse};

} // namespace warmtile
