// Mini-batch updates of the compounds that aihwkit ships: pulses by the engine, the rest (transfers,
// buffers, choppers) by aihwkit's own code.
#pragma once

#include <cstdint>
#include <string>

#include "engine/engine.h"
#include "rpu_mixedprec_device.h"
#include "rpu_transfer_device.h"

namespace warmtile {

/** Empty where the engine serves this pulse scheme. */
std::string updateRefusal(const RPU::PulsedUpdateMetaParameter<float> &up);

/** TransferCompound, and its buffered, chopped and dynamic kin. */
std::string stockRefusal(RPU::TransferRPUDevice<float> &compound);
uint64_t stockUpdate(
    RPU::RPUPulsed<float> &tile,
    RPU::TransferRPUDevice<float> &compound,
    const VectorBatch &x,
    const VectorBatch &d,
    int n_vectors,
    uint64_t key,
    int n_threads);

/** MixedPrecisionCompound: the outer products are summed in digital, rows are written as pulses. */
std::string mixedRefusal(RPU::MixedPrecRPUDevice<float> &compound);
uint64_t mixedUpdate(
    RPU::RPUPulsed<float> &tile,
    RPU::MixedPrecRPUDevice<float> &compound,
    const VectorBatch &x,
    const VectorBatch &d,
    int n_vectors,
    uint64_t key,
    int n_threads);

} // namespace warmtile
