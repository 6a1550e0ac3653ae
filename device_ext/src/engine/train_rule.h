// How long the pulse trains of a vector are, and how likely its lines fire.
#pragma once

#include <cmath>
#include <vector>

#include "engine/kernels.h"
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
  explicit TrainRule(const UpdateRule &rule) {
    const auto &up = *rule.up;
    limits_.length_managed = up.update_bl_management;
    limits_.rates_managed = up.update_management;
    limits_.lr = std::fabs(rule.lr);
    limits_.granularity = rule.weight_granularity;
    limits_.grad_scale = up.um_grad_scale;
    limits_.longest = up.desired_BL;
    up.calculateBlAB(limits_.length, limits_.A, limits_.B, limits_.lr, limits_.granularity);
    if (up.update_bl_management) {
      for (int bl = 1; bl <= up.desired_BL; bl++) {
        rate_by_length_.push_back(std::sqrt(limits_.lr / (limits_.granularity * (float)bl)));
      }
      limits_.rate_by_length = rate_by_length_.data();
    }
  }
  TrainRule(const TrainRule &) = delete;
  TrainRule &operator=(const TrainRule &) = delete;

  TrainScales operator()(float x_abs_max, float d_abs_max) const {
    TrainScales s;
    each(1, &x_abs_max, &d_abs_max, &s.BL, &s.A, &s.B);
    return s;
  }

  /** The same for n vectors. */
  void each(
      int n, const float *x_abs_max, const float *d_abs_max, int *BL, float *A, float *B) const {
    kernels().trainScales(limits_, n, x_abs_max, d_abs_max, BL, A, B);
  }

private:
  TrainLimits limits_{};
  std::vector<float> rate_by_length_;
};

} // namespace warmtile
