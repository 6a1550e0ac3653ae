// How long the pulse trains of a vector are, and how likely its lines fire.
#pragma once

#include <cmath>
#include <vector>

#include "engine/pulse_trains.h"

namespace warmtile {

/** Length and probability scales of the trains of one vector (Gokmen & Vlasov 2016, with aihwkit's
 * update management): line j of x fires in a slot with probability min(1, |x_j| * B), line i of d
 * with min(1, |d_i| * A). BL = 0 means no pulses. */
struct TrainScales {
  int BL;
  float A;
  float B;
};

/** Length and rates of the trains of each vector of an update; what the vectors share is computed
 * once. */
class TrainRule {
public:
  explicit TrainRule(const UpdateRule &rule)
      : up_(*rule.up), lr_(std::fabs(rule.lr)), granularity_(rule.weight_granularity) {
    up_.calculateBlAB(unmanaged_.BL, unmanaged_.A, unmanaged_.B, lr_, granularity_);
    if (up_.update_bl_management) {
      for (int bl = 1; bl <= up_.desired_BL; bl++) {
        by_length_.push_back(std::sqrt(lr_ / (granularity_ * (float)bl)));
      }
    }
  }

  TrainScales operator()(float x_abs_max, float d_abs_max) const {
    TrainScales s = unmanaged_;
    if (s.BL == 0 || !(up_.update_bl_management || up_.update_management)) {
      return s;
    }
    // Gokmen and Vlasov 2016: the pulses that the largest cross-point is to get.
    float d = up_.um_grad_scale * d_abs_max;
    const float expected = lr_ * x_abs_max * d / granularity_;
    if (!(expected > 0.0f)) {
      return {0, 1.0f, 1.0f};
    }
    const auto longest = (float)up_.desired_BL;
    if (up_.update_bl_management) {
      s.BL = expected > longest ? up_.desired_BL : (int)std::ceil(expected);
      s.A = s.B = by_length_[(size_t)s.BL - 1];
    }
    if (up_.update_management) {
      if (expected > longest) {
        d *= longest / expected; // d is clipped rather than x
      }
      s.A *= std::sqrt(x_abs_max / d);
      s.B *= std::sqrt(d / x_abs_max);
    }
    return s;
  }

private:
  const RPU::PulsedUpdateMetaParameter<float> &up_;
  float lr_;
  float granularity_;
  TrainScales unmanaged_{0, 0.0f, 0.0f};
  std::vector<float> by_length_;
};

} // namespace warmtile
