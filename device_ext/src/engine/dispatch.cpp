#include <cstring>

#include "kernels.h"

namespace warmtile {

namespace {
const Kernels *supported(const char *name) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
  const bool automatic = std::strcmp(name, "auto") == 0;
  if (avx512 && (automatic || std::strcmp(name, "avx512") == 0)) {
    return &kernels_avx512;
  }
  if (__builtin_cpu_supports("avx2") && (automatic || std::strcmp(name, "avx2") == 0)) {
    return &kernels_avx2;
  }
#endif
  if (std::strcmp(name, "portable") == 0 || std::strcmp(name, "auto") == 0) {
    return &kernels_portable;
  }
  return nullptr;
}

const Kernels *&current() {
  static const Kernels *chosen = supported("auto");
  return chosen;
}
} // namespace

const Kernels &kernels() { return *current(); }

bool useKernels(const char *name) {
  const Kernels *wanted = supported(name);
  if (wanted != nullptr) {
    current() = wanted;
  }
  return wanted != nullptr;
}

} // namespace warmtile
