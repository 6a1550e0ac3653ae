// Seeds aihwkit's generators. They can not be saved, so they are set anew ("re-keyed") before each
// tile call from a key that is a pure function of run seed, tile and call counter.
#pragma once

#include <cstdint>

#include "rpu_pulsed.h"

namespace warmtile {

/** Once, after construction or reload: redraws from `key` what aihwkit seeded by the clock (the
 * tables of normals, the transfer's own pass and updater, the systematic parameters of the
 * input-output). */
void seedTile(RPU::RPUPulsed<float> &tile, uint64_t key);

/** Before each call: sets every generator from `key`, libc's rand() included. About a
 * microsecond. */
void rekeyTile(RPU::RPUPulsed<float> &tile, uint64_t key);

} // namespace warmtile
