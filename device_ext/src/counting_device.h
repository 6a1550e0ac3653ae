// Stands between aihwkit's weight updater and a device, to count the pulses that reach it.
#pragma once

#include <cstdint>
#include <cstdlib>

#include "rpu_pulsed_device.h"

namespace warmtile {

/** Number of pulses in a dense update's coincidence matrix. */
inline uint64_t countCoincidences(const int *coincidences, int size) {
  uint64_t n = 0;
  for (int i = 0; i < size; i++) {
    n += (uint64_t)std::abs(coincidences[i]);
  }
  return n;
}

/** Forwards an update to `device` unchanged and counts its pulses. Lives for one update only. */
template <typename T> class CountingDevice : public RPU::PulsedRPUDeviceBase<T> {
public:
  explicit CountingDevice(RPU::PulsedRPUDeviceBase<T> &device)
      : RPU::PulsedRPUDeviceBase<T>(device.getXSize(), device.getDSize()), device_(device) {
    this->setWeightGranularity(device.getWeightGranularity());
  }

  uint64_t pulses() const { return pulses_; }

  RPU::SimpleRPUDeviceMetaParameter<T> &getPar() const override { return device_.getPar(); }
  RPU::DeviceUpdateType implements() const override { return device_.implements(); }
  bool hasDirectUpdate() const override { return device_.hasDirectUpdate(); }
  void clipWeights(T **weights, T clip) override { device_.clipWeights(weights, clip); }

  void doDirectVectorUpdate(
      T **weights,
      const T *x_input,
      const int x_inc,
      const T *d_input,
      const int d_inc,
      const T learning_rate,
      const int m_batch_info,
      const RPU::PulsedUpdateMetaParameter<T> &up) override {
    device_.doDirectVectorUpdate(
        weights, x_input, x_inc, d_input, d_inc, learning_rate, m_batch_info, up);
  }
  void initUpdateCycle(
      T **weights,
      const RPU::PulsedUpdateMetaParameter<T> &up,
      T current_lr,
      int m_batch_info,
      const T *x_input,
      const int x_inc,
      const T *d_input,
      const int d_inc) override {
    device_.initUpdateCycle(
        weights, up, current_lr, m_batch_info, x_input, x_inc, d_input, d_inc);
  }
  void finishUpdateCycle(
      T **weights,
      const RPU::PulsedUpdateMetaParameter<T> &up,
      T current_lr,
      int m_batch_info) override {
    device_.finishUpdateCycle(weights, up, current_lr, m_batch_info);
  }
  T getPulseCountLearningRate(
      T learning_rate,
      int current_m_batch,
      const RPU::PulsedUpdateMetaParameter<T> &up) override {
    return device_.getPulseCountLearningRate(learning_rate, current_m_batch, up);
  }
  void doSparseUpdate(
      T **weights,
      int i,
      const int *x_signed_indices,
      int x_count,
      int d_sign,
      RPU::RNG<T> *rng) override {
    pulses_ += (uint64_t)x_count;
    device_.doSparseUpdate(weights, i, x_signed_indices, x_count, d_sign, rng);
  }
  void doDenseUpdate(T **weights, int *coincidences, RPU::RNG<T> *rng) override {
    pulses_ += countCoincidences(coincidences, this->size_);
    device_.doDenseUpdate(weights, coincidences, rng);
  }

private:
  RPU::PulsedRPUDeviceBase<T> &device_;
  uint64_t pulses_ = 0;
};

} // namespace warmtile
