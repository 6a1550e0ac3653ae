// Many vectors at a time, one in each lane: survey(), trainScales(), mayFire(); included by
// kernels_common.inl.

/** `width` neighbouring vectors, one in each lane: GCC's vectors, since a loop over few lanes would
 * be unrolled into scalars. */
template <int width>
inline void surveyLanes(
    const float *lines,
    const int64_t *offsets,
    int64_t stride,
    int n_lines,
    float *abs_max,
    float *sums) {
  typedef float Floats __attribute__((vector_size(width * sizeof(float))));
  typedef int32_t Ints __attribute__((vector_size(width * sizeof(float))));
  // Several maxima side by side: one alone would wait for itself at every line.
  Floats largest[4] = {};
  const auto take = [](Floats &to, const Floats &values) { to = values > to ? values : to; };
  const auto read = [&](int j, Floats &values, int k) {
    std::memcpy(&values, lines + (offsets == nullptr ? j * stride : offsets[j]), sizeof values);
    values = (Floats)((Ints)values & 0x7fffffff);
    take(largest[k % 4], values);
  };
  int begin = 0;
  const auto block = [&](auto whole) {
    Floats p[8] = {};
#pragma GCC unroll 8
    for (int k = 0; k < 8; k++) {
      Floats high = {};
      if (whole || begin + k < n_lines) {
        read(begin + k, p[k], k);
      }
      if (whole || begin + k + 8 < n_lines) {
        read(begin + k + 8, high, k + 2);
      }
      p[k] += high;
    }
    // The order of blockSum().
    const Floats sum = ((p[0] + p[1]) + (p[2] + p[3])) + ((p[4] + p[5]) + (p[6] + p[7]));
    std::memcpy(sums + begin / lines_per_block * max_neighbours, &sum, sizeof sum);
  };
  if (sums == nullptr) {
    const auto some = [&](int n) {
#pragma GCC unroll 4
      for (int k = 0; k < n; k++) {
        Floats values;
        read(begin + k, values, k);
      }
    };
    for (; begin + 4 <= n_lines; begin += 4) {
      some(4);
    }
    some(n_lines - begin);
  } else {
    for (; begin + lines_per_block <= n_lines; begin += lines_per_block) {
      block(std::true_type{});
    }
    if (begin < n_lines) {
      block(std::false_type{});
    }
  }
  take(largest[0], largest[1]);
  take(largest[2], largest[3]);
  take(largest[0], largest[2]);
  std::memcpy(abs_max, largest, sizeof largest[0]);
}

void survey(
    const float *lines,
    const int64_t *offsets,
    int64_t stride,
    int n_lines,
    int n,
    float *abs_max,
    float *sums) {
  int v = 0;
  const auto take = [&](auto width) {
    for (; v + width <= n; v += width) {
      surveyLanes<width>(
          lines + v, offsets, stride, n_lines, abs_max + v, sums == nullptr ? sums : sums + v);
    }
  };
  take(std::integral_constant<int, 8>{});
  take(std::integral_constant<int, 4>{});
  take(std::integral_constant<int, 1>{});
}

void trainScales(
    const TrainLimits &limits,
    int n,
    const float *x_abs_max,
    const float *d_abs_max,
    int *BL,
    float *A,
    float *B) {
  for (int v = 0; v < n; v++) {
    BL[v] = limits.length;
    A[v] = limits.A;
    B[v] = limits.B;
  }
  if (limits.length == 0 || !(limits.length_managed || limits.rates_managed)) {
    return;
  }
  // Loops without branches, which the compiler vectorises.
  const auto longest = (float)limits.longest;
  const float lr = limits.lr;
  const float grad_scale = limits.grad_scale;
  const float granularity = limits.granularity;
  // Gokmen and Vlasov 2016: the pulses that the largest cross-point is to get.
  const auto expected = [&](int v) {
    return lr * x_abs_max[v] * (grad_scale * d_abs_max[v]) / granularity;
  };
  if (limits.length_managed) {
    for (int v = 0; v < n; v++) {
      const float pulses = expected(v);
      const float cut = pulses < longest ? pulses : longest;
      const int whole = (int)cut;
      BL[v] = whole + ((float)whole < cut ? 1 : 0);
    }
    for (int v = 0; v < n; v++) {
      A[v] = B[v] = BL[v] > 0 ? limits.rate_by_length[(size_t)BL[v] - 1] : 1.0f;
    }
  }
  if (limits.rates_managed) {
    for (int v = 0; v < n; v++) {
      const float pulses = expected(v);
      const float d = grad_scale * d_abs_max[v];
      // d is clipped rather than x
      const float clipped = pulses > longest ? d * (longest / pulses) : d;
      A[v] *= std::sqrt(x_abs_max[v] / clipped);
      B[v] *= std::sqrt(clipped / x_abs_max[v]);
    }
  }
  for (int v = 0; v < n; v++) {
    BL[v] = expected(v) > 0.0f ? BL[v] : 0;
  }
}

/** Eight lanes of 64 and of 32 bits. */
typedef uint64_t Longs8 __attribute__((vector_size(64)));
typedef uint32_t Words8 __attribute__((vector_size(32)));
typedef int32_t Ints8 __attribute__((vector_size(32)));
typedef float Floats8 __attribute__((vector_size(32)));

// By reference: how such vectors are passed and returned depends on the instruction set.

/** mix64() of every lane. */
inline void mix8(Longs8 &z) {
  z += 0x9e3779b97f4a7c15ULL;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  z ^= z >> 31;
}

/** childKey() of every lane's key, or of one key, and index. */
template <typename K> inline void childKeys8(const K &keys, const Longs8 &indices, Longs8 &out) {
  out = indices * 0xd1342543de82ef95ULL + 0x2545f4914f6cdd1dULL;
  mix8(out);
  out ^= keys;
  mix8(out);
}

/** blockDraw() of every lane. */
inline void blockDraws8(const Words8 &a, const Words8 &b, uint32_t block, Floats8 &out) {
  Words8 h = a + (block_stream + block);
  h ^= h >> 17;
  h *= 0xed5ad4bbu;
  h ^= b;
  h ^= h >> 11;
  h *= 0xac4c1b51u;
  h ^= h >> 15;
  h *= 0x31848babu;
  h ^= h >> 14;
  out = __builtin_convertvector((Ints8)(h >> 1), Floats8);
}

inline bool anyOf(const Ints8 &mask) {
  uint64_t parts[4];
  std::memcpy(parts, &mask, sizeof mask);
  return (parts[0] | parts[1] | parts[2] | parts[3]) != 0;
}

uint64_t mayFire(
    const float *sums,
    int n_blocks,
    int n,
    uint64_t key,
    uint64_t first,
    const int *lengths,
    const float *rates) {
  const Longs8 lanes = {0, 1, 2, 3, 4, 5, 6, 7};
  const Ints8 numbers = {0, 1, 2, 3, 4, 5, 6, 7};
  uint64_t bits = 0;
  for (int begin = 0; begin < n; begin += 8) {
    Ints8 slots;
    Floats8 scale;
    std::memcpy(&slots, lengths + begin, sizeof slots);
    std::memcpy(&scale, rates + begin, sizeof scale);
    slots &= numbers < n - begin;
    scale *= two_to_31;
    Longs8 keys;
    childKeys8(key, first + (uint64_t)begin + lanes, keys);
    Ints8 found = {};
    for (int slot = 0;; slot++) {
      const Ints8 open = (slots > slot) & ~found;
      if (!anyOf(open)) {
        break;
      }
      Longs8 slot_keys;
      childKeys8(keys, (uint64_t)(2 * slot + 1) + Longs8{}, slot_keys);
      const Words8 a = __builtin_convertvector(slot_keys, Words8);
      const Words8 b = __builtin_convertvector(slot_keys >> 32, Words8);
      for (int block = 0; block < n_blocks; block++) {
        Floats8 expected;
        std::memcpy(&expected, sums + block * max_neighbours + begin, sizeof expected);
        expected *= scale;
        Floats8 drawn;
        blockDraws8(a, b, (uint32_t)block, drawn);
        const Ints8 silent =
            (expected <= sparse_block * two_to_31) & ~(drawn < expected);
        found |= open & ~silent;
      }
    }
    for (int v = 0; v < 8; v++) {
      bits |= (uint64_t)(found[v] & 1) << (begin + v);
    }
  }
  return bits;
}
