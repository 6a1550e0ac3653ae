#include "engine/engine.h"

#include <algorithm>
#include <vector>

#include "access.h"
#include "engine/compounds.h"
#include "engine/pulse_trains.h"
#include "keys.h"
#include "warm_start_device.h"

namespace warmtile {

namespace {

using Compound = WarmStartTransferRPUDevice<float>;

constexpr uint64_t transfer_stream = uint64_t{1} << 48;

std::string compoundRefusal(Compound &compound) {
  const auto &par = compound.getPar();
  if (compound.fullyHidden()) {
    return "the last device is the weight (gamma is 0)";
  }
  if (!par.transfer_columns) {
    return "rows are transferred, not columns";
  }
  if (par.with_reset_prob > 0.0f) {
    return "columns are reset after a transfer";
  }
  if (par.random_selection) {
    return "columns are selected at random";
  }
  for (int k = 0; k < compound.nDevices(); k++) {
    DeviceArrays arrays;
    if (!deviceArrays(*compound.getRpuVec()[k], compound.getWeightVec()[k], arrays)) {
      return "device type " + compound.getRpuVec()[k]->getPar().getName();
    }
  }
  return updateRefusal(par.transfer_up);
}

/** Runs one compound's mini-batch: pulses between transfers, transfers where they are due. */
class CompoundUpdate {
public:
  CompoundUpdate(RPU::RPUPulsed<float> &tile, Compound &compound, uint64_t key, int n_threads)
      : tile_(tile), compound_(compound), key_(key), n_threads_(n_threads),
        weights_(tile.getWeightsPtr()[0]), rest_(compound.restWeights(tile.getWeightsPtr())) {}

  void run(const VectorBatch &x, const VectorBatch &d, int n_vectors) {
    const auto &up = tile_.getMetaPar().up;
    const float lr = tile_.getAlphaLearningRate();
    const DeviceArrays fast = arrays(0, true);
    const UpdateRule rule{
        &up, compound_.getPulseCountLearningRate(lr, n_vectors, up),
        compound_.getWeightGranularity(), key_, n_threads_};
    for (int begin = 0; begin < n_vectors;) {
      const auto due = compound_.vectorsToNextTransfer(n_vectors, up);
      const int end = (int)std::min<int64_t>(n_vectors, begin + due);
      compound_.addPulses(0, applyPulseTrains(fast, x, d, begin, end, rule));
      for (const auto &t : compound_.advanceUpdates(end - begin, lr, n_vectors, up)) {
        transfer(t);
      }
      begin = end;
    }
  }

private:
  DeviceArrays arrays(int k, bool reduce) {
    DeviceArrays a;
    deviceArrays(*compound_.getRpuVec()[k], compound_.getWeightVec()[k], a);
    if (reduce) {
      a.all.total = weights_;
      a.all.rest = rest_;
      a.all.gamma = compound_.getReduceWeightening()[0];
    }
    return a;
  }

  /** Reads columns of one device and writes them, as pulses, onto another. */
  void transfer(const Compound::Transfer &t) {
    const auto &par = compound_.getPar();
    const int in_size = par.getInSize();
    const int start = compound_.takeSlice(t.from);
    const int n_reads = std::min(par.n_reads_per_transfer, in_size);
    if (t.lr == 0.0f || t.to == t.from) {
      return;
    }
    const DeviceArrays target = arrays(t.to, false);
    for (int r = 0; r < n_reads; r++) {
      const int column = (start + r) % in_size;
      readColumn(t.from, column);
      const UpdateRule rule{
          &par.transfer_up, t.lr, compound_.getRpuVec()[t.to]->getWeightGranularity(),
          childKey(key_, transfer_stream + n_transfers_++), n_threads_};
      // Each row waits for memory, so only those are reduced in which something has changed.
      compound_.addPulses(t.to, applyColumn(target, column, column_.data(), rule, pulsed_rows_));
      compound_.reduceColumn(tile_.getWeightsPtr(), column, pulsed_rows_);
    }
    compound_.countTransfer(t.to);
  }

  /** The column, negated: a positive weight is to raise its target. */
  void readColumn(int from, int column) {
    const auto &par = compound_.getPar();
    const int x_size = compound_.getXSize();
    column_.resize((size_t)compound_.getDSize());
    if (par.transfer_io.isPerfect()) {
      const float *w = compound_.getWeightVec()[from][0] + column;
      for (size_t i = 0; i < column_.size(); i++) {
        column_[i] = -par.transfer_io.out_scale * w[i * (size_t)x_size];
      }
    } else {
      const float *one_hot = compound_.getTransferVecs() + (size_t)column * (size_t)x_size;
      compound_.readVector(from, one_hot, column_.data(), -1.0f);
    }
  }

  RPU::RPUPulsed<float> &tile_;
  Compound &compound_;
  uint64_t key_;
  int n_threads_;
  float *weights_;
  const float *rest_;
  uint64_t n_transfers_ = 0;
  std::vector<float> column_;
  std::vector<char> pulsed_rows_; ///< marks
};

} // namespace

std::string engineRefusal(RPU::RPUPulsed<float> &tile) {
  if (tile.isDelayedUpdate()) {
    return "updates are delayed";
  }
  auto refusal = updateRefusal(tile.getMetaPar().up);
  if (!refusal.empty()) {
    return refusal;
  }
  auto &device = access::Tile::device(tile);
  if (auto *compound = dynamic_cast<Compound *>(&device)) {
    return compoundRefusal(*compound);
  }
  if (auto *transfer = dynamic_cast<RPU::TransferRPUDevice<float> *>(&device)) {
    return stockRefusal(*transfer);
  }
  if (auto *mixed = dynamic_cast<RPU::MixedPrecRPUDevice<float> *>(&device)) {
    return mixedRefusal(*mixed);
  }
  DeviceArrays arrays;
  if (!deviceArrays(device, tile.getWeightsPtr(), arrays)) {
    return "device type " + device.getPar().getName();
  }
  return "";
}

uint64_t engineUpdate(
    RPU::RPUPulsed<float> &tile,
    const VectorBatch &x,
    const VectorBatch &d,
    int n_vectors,
    uint64_t key,
    int n_threads) {
  if (tile.getLearningRate() == 0.0f || n_vectors == 0) {
    return 0; // as aihwkit: no update, no counting
  }
  auto &device = access::Tile::device(tile);
  if (auto *compound = dynamic_cast<Compound *>(&device)) {
    CompoundUpdate(tile, *compound, key, n_threads).run(x, d, n_vectors);
    return 0;
  }
  if (auto *transfer = dynamic_cast<RPU::TransferRPUDevice<float> *>(&device)) {
    return stockUpdate(tile, *transfer, x, d, n_vectors, key, n_threads);
  }
  if (auto *mixed = dynamic_cast<RPU::MixedPrecRPUDevice<float> *>(&device)) {
    return mixedUpdate(tile, *mixed, x, d, n_vectors, key, n_threads);
  }
  DeviceArrays arrays;
  deviceArrays(device, tile.getWeightsPtr(), arrays);
  auto &pulsed = static_cast<RPU::PulsedRPUDeviceBase<float> &>(device);
  const auto &up = tile.getMetaPar().up;
  const UpdateRule rule{
      &up, pulsed.getPulseCountLearningRate(tile.getAlphaLearningRate(), n_vectors, up),
      pulsed.getWeightGranularity(), key, n_threads};
  return applyPulseTrains(arrays, x, d, 0, n_vectors, rule);
}

} // namespace warmtile
