// The pulse engine: a whole mini-batch of pulsed updates at once.
//
// Same law as aihwkit's own path (stochastic compressed pulse trains, then one step of the device
// at every coincidence, in order), but with keyed draws: pulse trains depend on (key, vector, slot,
// line) alone, so cross-points are independent, the result is the same for any number of threads
// and any instruction set, and nothing has to be saved.
#pragma once

#include <cstdint>
#include <string>

#include "rpu_pulsed.h"

namespace warmtile {

/** Vectors of n_lines numbers, read in place through strides (in elements).
 *
 * Vector v = (outer * n_middle + middle) * n_inner + inner; its line j lies at
 * outer * outer_stride + middle * middle_stride + inner * inner_stride plus line_offsets[j] where
 * given, else j * line_stride. So the patches of a convolution need not be unfolded: outer is the
 * image, middle and inner the place of the patch, and the offsets lead to its pixels. */
struct VectorBatch {
  const float *data;
  int32_t n_inner;
  int32_t n_middle;
  int64_t outer_stride;
  int64_t middle_stride;
  int64_t inner_stride;
  int64_t line_stride;
  const int64_t *line_offsets; ///< null: none
};

/** Empty where the engine serves this tile; else the reason why aihwkit's own path has to. */
std::string engineRefusal(RPU::RPUPulsed<float> &tile);

/** Updates a tile with a mini-batch. Returns the pulses onto the device that the engine wrote to:
 * the single one, the gradient tile of a stock compound, the inner one of mixed precision; 0 for a
 * warm-start compound, which counts its own. */
uint64_t engineUpdate(
    RPU::RPUPulsed<float> &tile,
    const VectorBatch &x,
    const VectorBatch &d,
    int n_vectors,
    uint64_t key,
    int n_threads);

} // namespace warmtile
