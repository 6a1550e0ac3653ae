// Draws the pulse trains of a mini-batch and applies them to one device, row by row.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/engine.h"
#include "engine/kernels.h"
#include "rpu_pulsed_device.h"

namespace warmtile {

/** Arrays of a device, all cross-points; see DeviceLine for their meaning. */
struct DeviceArrays {
  DeviceLine all;
  int x_size;
  int d_size;

  /** The same arrays, beginning `offset` cross-points later. */
  DeviceLine from(int64_t offset) const;
};

/** The arrays of a device that the engine knows; false for any other. `weights` is the matrix that
 * the device writes to. */
bool deviceArrays(
    RPU::AbstractRPUDevice<float> &device, float **weights, DeviceArrays &arrays);

/** Lines whose sign is flipped, as chopped transfer does; null: none. */
struct Choppers {
  const std::vector<bool> *x = nullptr;
  const std::vector<bool> *d = nullptr;
};

/** What the trains of one update need besides x and d. */
struct UpdateRule {
  const RPU::PulsedUpdateMetaParameter<float> *up;
  float lr; ///< signed; positive lowers weights at positive coincidences, as in SGD
  float weight_granularity;
  uint64_t key;
  int n_threads;
  Choppers choppers{};
};

/** Pulses of vectors [begin, end) onto a device; returns their number. */
uint64_t applyPulseTrains(
    const DeviceArrays &device,
    const VectorBatch &x,
    const VectorBatch &d,
    int begin,
    int end,
    const UpdateRule &rule);

/** Pulses of one vector whose x is one-hot at `column`: the write of a column transfer. `d` has
 * d_size entries, and `pulsed` gets a mark for each row that was. Returns the number of pulses. */
uint64_t applyColumn(
    const DeviceArrays &device,
    int column,
    const float *d,
    const UpdateRule &rule,
    std::vector<char> &pulsed);

/** The same for a vector whose d is one-hot at `row`; `x` has x_size entries. */
uint64_t applyRow(const DeviceArrays &device, int row, const float *x, const UpdateRule &rule);

} // namespace warmtile
