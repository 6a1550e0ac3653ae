// Loops that the compiler vectorises by itself; included by each instruction set's file, inside
// its unnamed namespace.

/** Noise for `lines`: position |line| - 1 of the key's stream. */
void normals(const int32_t *lines, int n, Key32 key, float *out) {
  for (int k = 0; k < n; k++) {
    const int32_t line = lines[k];
    out[k] = normal(draw(key, (uint32_t)((line < 0 ? -line : line) - 1)));
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
    w = down ? w - (1.0f + noise) * d.scale_down[j] : w + (1.0f + noise) * d.scale_up[j];
    return upper(lower(w, hi), lo);
  } else if constexpr (rule == StepRule::LinearStepMult) {
    w = down ? w - (d.slope_down[j] * w + d.scale_down[j]) * (1.0f + noise)
             : w + (d.slope_up[j] * w + d.scale_up[j]) * (1.0f + noise);
    return lower(upper(w, lo), hi);
  } else if constexpr (rule == StepRule::LinearStepAdd) {
    w = down ? w - (d.slope_down[j] * w + d.scale_down[j] * (1.0f + noise))
             : w + (d.slope_up[j] * w + d.scale_up[j] * (1.0f + noise));
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

template <StepRule rule>
void pulseLines(
    const DeviceLine &d,
    const int32_t *lines,
    int n,
    int direction,
    const float *noise,
    const float *write_noise) {
  for (int k = 0; k < n; k++) {
    const int32_t line = lines[k];
    const int j = (line < 0 ? -line : line) - 1;
    const bool down = (line < 0) == (direction < 0);
    const float cycle = noise == nullptr ? 0.0f : d.dw_min_std * noise[k];
    const float w = stepped<rule>(d, j, d.w[j], down, cycle);
    d.w[j] = w;
    const float seen = write_noise == nullptr ? w : w + d.write_noise_std * write_noise[k];
    d.w_apparent[j] = seen;
    if (d.total != nullptr) {
      d.total[j] = d.rest[j] + d.gamma * seen;
    }
  }
}

void pulse(
    const DeviceLine &d,
    const int32_t *lines,
    int n,
    int direction,
    Key32 noise_key,
    Key32 write_key,
    float *scratch) {
  float *noise = nullptr;
  float *write_noise = nullptr;
  if (d.dw_min_std > 0.0f) {
    noise = scratch;
    normals(lines, n, noise_key, noise);
  }
  if (d.write_noise_std > 0.0f) {
    write_noise = scratch + n;
    normals(lines, n, write_key, write_noise);
  }
  switch (d.rule) {
  case StepRule::ConstantStep:
    return pulseLines<StepRule::ConstantStep>(d, lines, n, direction, noise, write_noise);
  case StepRule::LinearStepMult:
    return pulseLines<StepRule::LinearStepMult>(d, lines, n, direction, noise, write_noise);
  case StepRule::LinearStepAdd:
    return pulseLines<StepRule::LinearStepAdd>(d, lines, n, direction, noise, write_noise);
  case StepRule::SoftBoundsReferenceMult:
    return pulseLines<StepRule::SoftBoundsReferenceMult>(
        d, lines, n, direction, noise, write_noise);
  case StepRule::SoftBoundsReferenceAdd:
    return pulseLines<StepRule::SoftBoundsReferenceAdd>(
        d, lines, n, direction, noise, write_noise);
  case StepRule::ExpStep:
    return pulseLines<StepRule::ExpStep>(d, lines, n, direction, noise, write_noise);
  case StepRule::ExpStepComplexNoise:
    return pulseLines<StepRule::ExpStepComplexNoise>(d, lines, n, direction, noise, write_noise);
  case StepRule::PowStep:
    return pulseLines<StepRule::PowStep>(d, lines, n, direction, noise, write_noise);
  case StepRule::PowStepReference:
    return pulseLines<StepRule::PowStepReference>(d, lines, n, direction, noise, write_noise);
  }
}

/** The lines from `start` on, one by one: the vector kernels end with it. */
inline int
fireTail(const float *v, int start, int n, float threshold_scale, Key32 key, int32_t *out) {
  int count = 0;
  for (int j = start; j < n; j++) {
    const float threshold = std::fabs(v[j]) * threshold_scale;
    if ((float)(draw(key, (uint32_t)j) >> 8) < threshold) {
      out[count++] = v[j] < 0.0f ? -(j + 1) : j + 1;
    }
  }
  return count;
}

inline float absMaxTail(const float *v, int start, int n, float m) {
  for (int j = start; j < n; j++) {
    const float a = std::fabs(v[j]);
    m = a > m ? a : m;
  }
  return m;
}

/** 24 random bits against the probability on the same scale: an exact comparison. */
constexpr float two_to_24 = 16777216.0f;
