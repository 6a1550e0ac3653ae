// Loops that the compiler vectorises by itself; included by each instruction set's file, inside
// its unnamed namespace.
#include "kernels_pulse.inl"
#include "kernels_survey.inl"

inline float absMaxTail(const float *v, int start, int n, float m) {
  for (int j = start; j < n; j++) {
    const float a = std::fabs(v[j]);
    m = a > m ? a : m;
  }
  return m;
}

/** fire() line by line. */
inline int fireLines(const float *v, int n, float p, Key32 key, int32_t *out) {
  const float scale = p * two_to_24;
  int count = 0;
  for (int j = 0; j < n; j++) {
    if ((float)(draw(key, (uint32_t)j) >> 8) < std::fabs(v[j]) * scale) {
      out[count++] = v[j] < 0.0f ? -(j + 1) : j + 1;
    }
  }
  return count;
}

/** fire() block by block, without vector instructions. */
inline int firePlain(const float *v, int n, float p, Key32 key, int32_t *out) {
  if (n < fewest_lines) {
    return fireLines(v, n, p, key, out);
  }
  const float scale = p * two_to_24;
  const float block_scale = p * two_to_31;
  int count = 0;
  for (int begin = 0; begin < n; begin += lines_per_block) {
    const int size = n - begin < lines_per_block ? n - begin : lines_per_block;
    float a[lines_per_block] = {};
    for (int k = 0; k < size; k++) {
      a[k] = std::fabs(v[begin + k]);
    }
    float pairs[8];
    for (int k = 0; k < 8; k++) {
      pairs[k] = a[k] + a[k + 8];
    }
    const float expected = blockSum(pairs) * block_scale;
    const auto block = (uint32_t)(begin / lines_per_block);
    if (blockIsSilent(expected, key, block)) {
      continue;
    }
    uint32_t fired = 0;
    for (int k = 0; k < size; k++) {
      fired |= (uint32_t)((float)(draw(key, (uint32_t)(begin + k)) >> 8) < a[k] * scale) << k;
    }
    if (expected <= sparse_block * two_to_31) {
      const float drawn = blockDraw(key, block);
      uint32_t behind = 0;
      float before = 0.0f;
      for (int quad = 0; quad < lines_per_block; quad += 4) {
        const float *q = a + quad;
        const float c[4] = {q[0], q[1] + q[0], (q[2] + q[1]) + q[0], (q[3] + q[2]) + (q[1] + q[0])};
        float sum = 0.0f;
        for (int k = 0; k < 4; k++) {
          sum = c[k] + before;
          behind |= (uint32_t)(q[k] > 0.0f && drawn < sum * block_scale) << (quad + k);
        }
        before = sum;
      }
      fired = thinned(behind, fired);
    }
    for (; fired != 0; fired &= fired - 1) {
      const int line = begin + __builtin_ctz(fired);
      out[count++] = v[line] < 0.0f ? -(line + 1) : line + 1;
    }
  }
  return count;
}

void addProducts(
    float *row,
    const float *x,
    int x_stride,
    const int32_t *vectors,
    const float *scales,
    int n,
    int n_lines) {
  // A stretch of the row stays in registers while all vectors are added.
  constexpr int width = 8;
  typedef float Floats __attribute__((vector_size(width * sizeof(float))));
  constexpr int most = 8;
  // `size` registers, of which the last may be used in part.
  const auto add = [&](int begin, auto size, size_t last_bytes) {
    constexpr int n_sums = decltype(size)::value;
    Floats sums[n_sums] = {};
    // Parts of known size first: they need no call of memcpy().
    std::memcpy(sums, row + begin, (n_sums - 1) * sizeof(Floats));
    std::memcpy(sums + n_sums - 1, row + begin + (n_sums - 1) * width, last_bytes);
    for (int k = 0; k < n; k++) {
      const float *from = x + (int64_t)x_stride * vectors[k] + begin;
      const float scale = scales[k];
#pragma GCC unroll 8
      for (int i = 0; i < n_sums; i++) {
        Floats values;
        std::memcpy(&values, from + width * i, sizeof values);
        sums[i] += scale * values;
      }
    }
    std::memcpy(row + begin, sums, (n_sums - 1) * sizeof(Floats));
    std::memcpy(row + begin + (n_sums - 1) * width, sums + n_sums - 1, last_bytes);
  };
  int begin = 0;
  for (; begin + most * width <= n_lines; begin += most * width) {
    add(begin, std::integral_constant<int, most>{}, sizeof(Floats));
  }
  const int left = n_lines - begin;
  const size_t last_bytes = (size_t)(left - (left - 1) / width * width) * sizeof(float);
  switch ((left + width - 1) / width) {
  case 1:
    return add(begin, std::integral_constant<int, 1>{}, last_bytes);
  case 2:
    return add(begin, std::integral_constant<int, 2>{}, last_bytes);
  case 3:
    return add(begin, std::integral_constant<int, 3>{}, last_bytes);
  case 4:
    return add(begin, std::integral_constant<int, 4>{}, last_bytes);
  case 5:
    return add(begin, std::integral_constant<int, 5>{}, last_bytes);
  case 6:
    return add(begin, std::integral_constant<int, 6>{}, last_bytes);
  case 7:
    return add(begin, std::integral_constant<int, 7>{}, last_bytes);
  case 8:
    return add(begin, std::integral_constant<int, 8>{}, last_bytes);
  }
}
