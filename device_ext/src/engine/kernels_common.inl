// Loops that the compiler vectorises by itself; included by each instruction set's file, inside
// its unnamed namespace.

/** Random bits of each pulse, slot by slot: position |line| - 1 of the slot's stream. */
inline void noiseBits(
    const SlotPulses *slots, int n_slots, Key32 SlotPulses::*stream, float *out) {
  for (int s = 0; s < n_slots; s++) {
    const Key32 key = slots[s].*stream;
    for (int k = 0; k < slots[s].n; k += noise_slack) {
      uint32_t bits[noise_slack];
      for (int i = 0; i < noise_slack; i++) {
        const int32_t line = slots[s].lines[k + i];
        bits[i] = draw(key, (uint32_t)((line < 0 ? -line : line) - 1));
      }
      std::memcpy(out + k, bits, sizeof bits); // the next slot writes over those behind the last
    }
    out += slots[s].n;
  }
}

/** Turns n random words into normal numbers, in whole groups. All are made as in the middle of their
 * law; the few in its tails are put right, so that the others do not pay for them. */
inline void normals(int n, float *values) {
  constexpr int group = 16;
  for (int k = 0; k < n; k += group) {
    uint32_t bits[group];
    float x[group];
    float depth[group];
    int32_t deep = 0;
    std::memcpy(bits, values + k, sizeof bits);
    for (int i = 0; i < group; i++) {
      x[i] = symmetric(bits[i]);
      depth[i] = tailDepth(x[i]);
      values[k + i] = centralNormal(x[i], depth[i]);
      deep |= depth[i] < deep_tail ? 0 : 1;
    }
    if (deep != 0) {
      for (int i = 0; i < group; i++) {
        if (!(depth[i] < deep_tail)) {
          values[k + i] = deepNormal(x[i], depth[i]);
        }
      }
    }
  }
}

float lower(float a, float b) { return a < b ? a : b; }
float upper(float a, float b) { return a > b ? a : b; }

/** One pulse at one cross-point: the step rules of aihwkit's devices. */
template <StepRule rule>
inline float stepped(const DeviceLine &d, int j, float w, bool down, float noise) {
  const float lo = d.min_bound[j];
  const float hi = d.max_bound[j];
  if constexpr (rule == StepRule::ConstantStep) {
    // Which way is as good as random, so it chooses addresses and signs, not branches.
    const float step = (1.0f + noise) * (down ? d.scale_down : d.scale_up)[j];
    w += down ? -step : step;
    return upper(lower(w, hi), lo);
  } else if constexpr (rule == StepRule::LinearStepMult) {
    const float slope = (down ? d.slope_down : d.slope_up)[j];
    const float scale = (down ? d.scale_down : d.scale_up)[j];
    const float step = (slope * w + scale) * (1.0f + noise);
    w += down ? -step : step;
    return lower(upper(w, lo), hi);
  } else if constexpr (rule == StepRule::LinearStepAdd) {
    const float slope = (down ? d.slope_down : d.slope_up)[j];
    const float scale = (down ? d.scale_down : d.scale_up)[j];
    const float step = slope * w + scale * (1.0f + noise);
    w += down ? -step : step;
    return lower(upper(w, lo), hi);
  } else if constexpr (rule == StepRule::ExpStep || rule == StepRule::ExpStepComplexNoise) {
    const float range = hi - lo;
    if (!(range > 0.0f)) {
      return w;
    }
    const auto &e = d.exp_step;
    const float z = 2.0f * w / range * e.a + e.b;
    const float y = down ? 1.0f - e.A_down * exponential(-e.gamma_down * z)
                         : 1.0f - e.A_up * exponential(e.gamma_up * z);
    const float step = upper(y, 0.0f) * (down ? -d.scale_down[j] : d.scale_up[j]);
    if constexpr (rule == StepRule::ExpStep) {
      w += step * (1.0f + noise);
    } else {
      w += step + noise * (std::fabs(step) + e.std_add + e.std_slope * std::fabs(w));
    }
    return upper(lower(w, hi), lo);
  } else if constexpr (rule == StepRule::PowStep || rule == StepRule::PowStepReference) {
    const float range = hi - lo;
    if (range == 0.0f) {
      return w;
    }
    const float reference = rule == StepRule::PowStepReference ? d.reference[j] : 0.0f;
    w += reference;
    w = down ? w - d.scale_down[j] * powerOf((w - lo) / range, d.slope_down[j]) * (1.0f + noise)
             : w + d.scale_up[j] * powerOf((hi - w) / range, d.slope_up[j]) * (1.0f + noise);
    return lower(upper(w, lo), hi) - reference;
  } else {
    constexpr bool mult = rule == StepRule::SoftBoundsReferenceMult;
    const float reference = d.reference[j];
    w += reference;
    if (down) {
      const float a = lo < 0.0f ? w / lo : 0.0f;
      w -= d.scale_down[j] * (mult ? (1.0f - a) * (1.0f + noise) : 1.0f - a + noise);
    } else {
      const float a = hi > 0.0f ? w / hi : 0.0f;
      w += d.scale_up[j] * (mult ? (1.0f - a) * (1.0f + noise) : 1.0f - a + noise);
    }
    return lower(upper(w, lo), hi) - reference;
  }
}

/** Into the second cache: a row's arrays fill the first. */
inline void ask(AskedAhead &ahead) {
  constexpr int64_t floats_a_line = 16;
  const int64_t until = ahead.at + ahead.stride < ahead.end ? ahead.at + ahead.stride : ahead.end;
  for (int a = 0; a < ahead.n_arrays; a++) {
    for (int64_t j = ahead.at; j < until; j += floats_a_line) {
      __builtin_prefetch(ahead.arrays[a] + j, 0, 2);
    }
  }
  ahead.at = until;
}

template <StepRule rule> using Rule = std::integral_constant<StepRule, rule>;

template <StepRule rule>
void pulseLines(
    const DeviceLine &d,
    const SlotPulses *slots,
    int n_slots,
    AskedAhead &ahead,
    const float *noise,
    const float *write_noise) {
  for (int s = 0; s < n_slots; s++) {
    ask(ahead);
    const int32_t *lines = slots[s].lines;
    const int n = slots[s].n;
    const bool reversed = slots[s].direction < 0;
    for (int k = 0; k < n; k++) {
      const int32_t line = lines[k];
      const int j = (line < 0 ? -line : line) - 1;
      const bool down = (line < 0) == reversed;
      const float cycle = noise == nullptr ? 0.0f : d.dw_min_std * noise[k];
      const float w = stepped<rule>(d, j, d.w[j], down, cycle);
      d.w[j] = w;
      const float seen = write_noise == nullptr ? w : w + d.write_noise_std * write_noise[k];
      d.w_apparent[j] = seen;
      if (d.total != nullptr) {
        d.total[j] = d.rest[j] + d.gamma * seen;
      }
    }
    noise = noise == nullptr ? nullptr : noise + n;
    write_noise = write_noise == nullptr ? nullptr : write_noise + n;
  }
}

void pulse(
    const DeviceLine &d,
    const SlotPulses *slots,
    int n_slots,
    AskedAhead &ahead,
    float *scratch) {
  int n = 0;
  for (int s = 0; s < n_slots; s++) {
    n += slots[s].n;
  }
  const auto make = [&](Key32 SlotPulses::*stream, float *to) {
    noiseBits(slots, n_slots, stream, to);
    normals(n, to);
    return to;
  };
  const float *noise =
      d.dw_min_std > 0.0f ? make(&SlotPulses::noise_key, scratch) : nullptr;
  const float *write_noise = d.write_noise_std > 0.0f
                                 ? make(&SlotPulses::write_key, scratch + noiseRoom(n) / 2)
                                 : nullptr;
  const auto run = [&](auto rule) {
    pulseLines<decltype(rule)::value>(d, slots, n_slots, ahead, noise, write_noise);
  };
  switch (d.rule) {
  case StepRule::ConstantStep:
    return run(Rule<StepRule::ConstantStep>{});
  case StepRule::LinearStepMult:
    return run(Rule<StepRule::LinearStepMult>{});
  case StepRule::LinearStepAdd:
    return run(Rule<StepRule::LinearStepAdd>{});
  case StepRule::SoftBoundsReferenceMult:
    return run(Rule<StepRule::SoftBoundsReferenceMult>{});
  case StepRule::SoftBoundsReferenceAdd:
    return run(Rule<StepRule::SoftBoundsReferenceAdd>{});
  case StepRule::ExpStep:
    return run(Rule<StepRule::ExpStep>{});
  case StepRule::ExpStepComplexNoise:
    return run(Rule<StepRule::ExpStepComplexNoise>{});
  case StepRule::PowStep:
    return run(Rule<StepRule::PowStep>{});
  case StepRule::PowStepReference:
    return run(Rule<StepRule::PowStepReference>{});
  }
}

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
