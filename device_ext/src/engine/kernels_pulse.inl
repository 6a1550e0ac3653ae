// pulse(): noise and steps; included by kernels_common.inl.

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

/** All are made as in the middle of their law; the few in its tails are put right afterwards, so
 * that the others do not pay for them. */
void normals(int n, float *values) {
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
