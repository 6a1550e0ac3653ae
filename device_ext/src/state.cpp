#include "state.h"

#include <algorithm>
#include <cmath>

#include "access.h"
#include "rpu_dynamic_transfer_device.h"

namespace warmtile {

std::vector<DeviceView> deviceViews(RPU::RPUPulsed<float> &tile) {
  std::vector<DeviceView> views;
  auto *device = &access::Tile::device(tile);
  if (auto *mixed = dynamic_cast<RPU::MixedPrecRPUDeviceBase<float> *>(device)) {
    device = &access::MixedPrec::device(*mixed);
  }
  if (auto *vector = dynamic_cast<RPU::VectorRPUDevice<float> *>(device)) {
    const auto &devices = vector->getRpuVec();
    for (size_t k = 0; k < devices.size(); k++) {
      views.push_back({devices[k].get(), vector->getWeightVec()[k]});
    }
    auto *transfer = dynamic_cast<RPU::TransferRPUDevice<float> *>(device);
    if (transfer != nullptr && transfer->getPar().fullyHidden()) {
      views.back().weights = tile.getWeightsPtr(); // the last device writes there directly
    }
  } else {
    views.push_back({device, tile.getWeightsPtr()});
  }
  return views;
}

namespace {

/** Collects the matrices of a device and, with their index as prefix, of those inside it. */
class Collector {
public:
  explicit Collector(RPU::RPUPulsed<float> &tile)
      : size_((size_t)tile.getXSize() * (size_t)tile.getDSize()) {}

  void addDevice(RPU::AbstractRPUDevice<float> &device, float **weights, const std::string &prefix) {
    if (auto *pulsed = dynamic_cast<RPU::PulsedRPUDevice<float> *>(&device)) {
      if (pulsed->getPar().usesPersistentWeight()) {
        add(prefix + "persistent", pulsed->getPersistentWeights()[0]);
      }
    } else if (auto *vector = dynamic_cast<RPU::VectorRPUDevice<float> *>(&device)) {
      addVector(*vector, weights, prefix);
    } else if (auto *mixed = dynamic_cast<RPU::MixedPrecRPUDeviceBase<float> *>(&device)) {
      matrices.push_back(
          {prefix + "chi", [=](float *out) { mixed->getChi(out); },
           [=](const float *in) { mixed->setChi(in); }});
      addDevice(access::MixedPrec::device(*mixed), weights, prefix + "device.");
    }
  }

  void add(const std::string &name, float *data) {
    const size_t size = size_;
    matrices.push_back(
        {name, [=](float *out) { std::copy(data, data + size, out); },
         [=](const float *in) { std::copy(in, in + size, data); }});
  }

  std::vector<StateMatrix> matrices;

private:
  void
  addVector(RPU::VectorRPUDevice<float> &vector, float **weights, const std::string &prefix) {
    auto *transfer = dynamic_cast<RPU::TransferRPUDevice<float> *>(&vector);
    const bool hidden = transfer != nullptr && transfer->getPar().fullyHidden();
    const auto &devices = vector.getRpuVec();
    for (size_t k = 0; k < devices.size(); k++) {
      const auto inner = prefix + std::to_string(k) + ".";
      if (hidden && k + 1 == devices.size()) { // it writes to the outer weights directly
        addDevice(*devices[k], weights, inner);
        continue;
      }
      add(inner + "weights", vector.getWeightVec()[k][0]);
      addDevice(*devices[k], vector.getWeightVec()[k], inner);
    }
    if (auto *buffered = dynamic_cast<RPU::BufferedTransferRPUDevice<float> *>(&vector)) {
      auto &buffers = access::Buffered::buffers(*buffered);
      for (size_t k = 0; k < buffers.size(); k++) {
        add(prefix + "buffer." + std::to_string(k), buffers[k].data());
      }
    }
    if (auto *dynamic = dynamic_cast<RPU::DynamicTransferRPUDevice<float> *>(&vector)) {
      // The getters are const, the vectors behind them are not.
      add(prefix + "running_mean", const_cast<float *>(dynamic->getRunningMean()));
      add(prefix + "past_mean", const_cast<float *>(dynamic->getPastMean()));
    }
  }

  size_t size_;
};

} // namespace

std::vector<StateMatrix> stateMatrices(RPU::RPUPulsed<float> &tile) {
  Collector collector(tile);
  collector.add("weights", tile.getWeightsPtr()[0]);
  collector.addDevice(access::Tile::device(tile), tile.getWeightsPtr(), "");
  return std::move(collector.matrices);
}

std::vector<float> nominalSteps(RPU::RPUPulsed<float> &tile) {
  std::vector<float> steps;
  for (const auto &view : deviceViews(tile)) {
    auto *pulsed = dynamic_cast<RPU::PulsedRPUDevice<float> *>(view.device);
    steps.push_back(pulsed == nullptr ? 0.0f : pulsed->getPar().dw_min);
  }
  return steps;
}

void setNominalSteps(RPU::RPUPulsed<float> &tile, const std::vector<float> &steps) {
  const auto views = deviceViews(tile);
  for (size_t k = 0; k < std::min(views.size(), steps.size()); k++) {
    if (auto *pulsed = dynamic_cast<RPU::PulsedRPUDevice<float> *>(views[k].device)) {
      pulsed->getPar().dw_min = steps[k];
    }
  }
}

double shareAtBound(const DeviceView &view) {
  auto *pulsed = dynamic_cast<RPU::PulsedRPUDevice<float> *>(view.device);
  if (pulsed == nullptr) {
    return std::nan("");
  }
  const float *w = pulsed->getPar().usesPersistentWeight() ? pulsed->getPersistentWeights()[0]
                                                            : view.weights[0];
  const float *lower = pulsed->getMinBound()[0];
  const float *upper = pulsed->getMaxBound()[0];
  const float step = pulsed->getPar().dw_min;
  const int size = pulsed->getXSize() * pulsed->getDSize();
  int64_t n = 0;
  for (int i = 0; i < size; i++) {
    n += (upper[i] - w[i] <= step || w[i] - lower[i] <= step) ? 1 : 0;
  }
  return (double)n / (double)size;
}

} // namespace warmtile
