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
    TrainScales s;
    each(1, &x_abs_max, &d_abs_max, &s.BL, &s.A, &s.B);
    return s;
  }

  /** The same for n vectors, without branches where there are many: compilers vectorise it. */
  void each(
      int n, const float *x_abs_max, const float *d_abs_max, int *BL, float *A, float *B) const {
    const bool managed = up_.update_bl_management || up_.update_management;
    const auto longest = (float)up_.desired_BL;
    for (int v = 0; v < n; v++) {
      BL[v] = unmanaged_.BL;
      A[v] = unmanaged_.A;
      B[v] = unmanaged_.B;
    }
    if (unmanaged_.BL == 0 || !managed) {
      return;
    }
    // Gokmen and Vlasov 2016: the pulses that the largest cross-point is to get.
    const float grad_scale = up_.um_grad_scale;
    const auto expected = [&](int v) {
      return lr_ * x_abs_max[v] * (grad_scale * d_abs_max[v]) / granularity_;
    };
    if (up_.update_bl_management) {
      for (int v = 0; v < n; v++) {
        const float pulses = expected(v);
        const float cut = pulses < longest ? pulses : longest;
        const int whole = (int)cut;
        BL[v] = whole + ((float)whole < cut ? 1 : 0);
      }
      for (int v = 0; v < n; v++) {
        A[v] = B[v] = BL[v] > 0 ? by_length_[(size_t)BL[v] - 1] : 1.0f;
      }
    }
    if (up_.update_management) {
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

private:
  const RPU::PulsedUpdateMetaParameter<float> &up_;
  float lr_;
  float granularity_;
  TrainScales unmanaged_{0, 0.0f, 0.0f};
  std::vector<float> by_length_;
};

} // namespace warmtile
