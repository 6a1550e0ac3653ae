#include <algorithm>

#include "access.h"
#include "engine/compounds.h"
#include "engine/pulse_trains.h"

namespace warmtile {

std::string updateRefusal(const RPU::PulsedUpdateMetaParameter<float> &up) {
  if (up.pulse_type != RPU::PulseType::StochasticCompressed) {
    return "pulse type is not stochastic compressed";
  }
  if (up.res > 0.0f || up.sto_round) {
    return "pulse probabilities are discretised (res, sto_round)";
  }
  if (up.d_sparsity) {
    return "the sparsity of d is asked for (d_sparsity)";
  }
  return "";
}

std::string stockRefusal(RPU::TransferRPUDevice<float> &compound) {
  DeviceArrays arrays;
  if (!deviceArrays(*compound.getRpuVec()[0], compound.getWeightVec()[0], arrays)) {
    return "device type " + compound.getRpuVec()[0]->getPar().getName();
  }
  if (auto *chopped = dynamic_cast<RPU::ChoppedTransferRPUDevice<float> *>(&compound)) {
    if (chopped->getPar().auto_scale) {
      return "the fast learning rate follows each vector (auto_scale)";
    }
  }
  if (auto *dynamic = dynamic_cast<RPU::DynamicTransferRPUDevice<float> *>(&compound)) {
    if (dynamic->getPar().experimental_fast_lr_feedback) {
      return "the fast learning rate follows each vector (experimental_fast_lr_feedback)";
    }
  }
  return "";
}

namespace {
Choppers choppersOf(RPU::TransferRPUDevice<float> &compound) {
  auto *chopped = dynamic_cast<RPU::ChoppedTransferRPUDevice<float> *>(&compound);
  if (chopped == nullptr) {
    return {};
  }
  const auto &in = access::Chopped::in(*chopped);
  const auto &out = access::Chopped::out(*chopped);
  return compound.getPar().transfer_columns ? Choppers{&in, &out} : Choppers{&out, &in};
}
} // namespace

uint64_t stockUpdate(
    RPU::RPUPulsed<float> &tile,
    RPU::TransferRPUDevice<float> &compound,
    const VectorBatch &x,
    const VectorBatch &d,
    int n_vectors,
    uint64_t key,
    int n_threads) {
  using access::TransferUpdate;
  const auto &up = tile.getMetaPar().up;
  const float lr = tile.getAlphaLearningRate();
  const int n_devices = (int)compound.getRpuVec().size();
  DeviceArrays fast;
  deviceArrays(*compound.getRpuVec()[0], compound.getWeightVec()[0], fast);
  const UpdateRule rule{
      &up,
      compound.getPulseCountLearningRate(lr, n_vectors, up),
      compound.getWeightGranularity(),
      key,
      n_threads,
      choppersOf(compound)};

  auto &count = TransferUpdate::updateIdx(compound);
  TransferUpdate::lastWeight(compound) =
      compound.getPar().fullyHidden() ? tile.getWeightsPtr() : nullptr;
  uint64_t pulses = 0;
  for (int begin = 0; begin < n_vectors;) {
    int64_t step = n_vectors - begin;
    for (int j = 0; j < n_devices; j++) {
      const auto every = (uint64_t)compound.getTransferEvery(j, n_vectors, up);
      if (every > 0) {
        step = std::min(step, (int64_t)(every - count % every));
      }
    }
    const int end = begin + (int)step;
    pulses += applyPulseTrains(fast, x, d, begin, end, rule);
    count += (uint64_t)step;
    for (int j = 0; j < n_devices; j++) {
      const auto every = (uint64_t)compound.getTransferEvery(j, n_vectors, up);
      if (every > 0 && count % every == 0) {
        compound.transfer(std::min(j + 1, n_devices - 1), j, lr, n_vectors);
      }
    }
    begin = end;
  }
  TransferUpdate::reduce(compound, tile.getWeightsPtr());
  return pulses;
}

} // namespace warmtile
