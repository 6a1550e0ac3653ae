// Direct access to what a tile's devices remember, past aihwkit's setters: those clip, redraw write
// noise and zero the sub-devices on the way, so a round trip through them is not exact.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "rpu_pulsed.h"

namespace warmtile {

/** One matrix [out, in] of a tile's state. */
struct StateMatrix {
  std::string name; ///< "weights", "0.weights", "0.persistent", "buffer.0", "chi", ...
  std::function<void(float *)> read;
  std::function<void(const float *)> write;
};

/** The matrices that training changes, outermost first; they live as long as the tile. */
std::vector<StateMatrix> stateMatrices(RPU::RPUPulsed<float> &tile);

/** A device of a tile with the weight matrix that it writes to. */
struct DeviceView {
  RPU::AbstractRPUDevice<float> *device;
  float **weights;
};

/** The pulsed devices of a tile: all devices of a compound (index 0 is the gradient tile), or the
 * single one. */
std::vector<DeviceView> deviceViews(RPU::RPUPulsed<float> &tile);

/** The nominal step of each of the pulsed devices; 0 for one without. aihwkit's setter of hidden
 * parameters replaces it by the mean step of the cross-points where a small tile's spread takes that
 * far from it, and write noise scales with it. */
std::vector<float> nominalSteps(RPU::RPUPulsed<float> &tile);
void setNominalSteps(RPU::RPUPulsed<float> &tile, const std::vector<float> &steps);

/** Share of cross-points within one dw_min of their own bounds; NaN for a device without
 * bounds. */
double shareAtBound(const DeviceView &view);

} // namespace warmtile
