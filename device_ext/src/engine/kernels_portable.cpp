#include <cstring>
#include <type_traits>

#include "kernels.h"
#include "normal.h"

namespace warmtile {
namespace {
#include "kernels_common.inl"

float absMax(const float *v, int n) { return absMaxTail(v, 0, n, 0.0f); }

int fire(const float *v, int n, float p, Key32 key, int32_t *out, const float *) {
  return firePlain(v, n, p, key, out);
}
} // namespace

const Kernels kernels_portable = {
    "portable", absMax, survey, trainScales, mayFire, fire, addProducts, normals, pulse};

} // namespace warmtile
