// A transfer compound that can start warm: WarmStartTransferRPUDevice derives from aihwkit's
// TransferRPUDevice and adds the stages of the warm start, counters for telemetry, and a reduction
// of the devices to the weight matrix that runs once a mini-batch instead of once a vector.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "rpu_transfer_device.h"

namespace warmtile {

/** Way that a warm-start transfer takes from the gradient tile (device 0) to the target k. */
enum class Route {
  Direct,  ///< device 0 -> k, every `period`
  Chained, ///< device 0 -> 1 every transfer_every_vec[0], and while k > 1, 1 -> k every
           ///< transfer_every_vec[1]
};

template <typename T> class WarmStartTransferRPUDevice;

/**
 * Meta parameter. It is cloned freely by aihwkit, so it holds settings only, never state.
 *
 * Unset values are negative; they stand for "take the chain's own value".
 */
template <typename T>
struct WarmStartTransferRPUDeviceMetaParameter : RPU::TransferRPUDeviceMetaParameter<T> {
  bool warm_start = false;
  Route route = Route::Direct;
  T period = (T)-1.0;        ///< unset: transfer_every_vec[0]; units as transfer_every_vec
  int n_switches = -1;       ///< unset: n_devices - 1
  T warm_start_lr = (T)-1.0; ///< unset: transfer_lr_vec[0]
  T significance = (T)0.0;   ///< exponent of gamma_vec[1] / gamma_vec[k]

  void initializeWithSize(int x_size, int d_size) override;

  std::string getName() const override;
  void printToStream(std::stringstream &ss) const override;

  WarmStartTransferRPUDevice<T> *
  createDevice(int x_size, int d_size, RPU::RealWorldRNG<T> *rng) override {
    return new WarmStartTransferRPUDevice<T>(x_size, d_size, *this, rng);
  }
  WarmStartTransferRPUDeviceMetaParameter<T> *clone() const override {
    return new WarmStartTransferRPUDeviceMetaParameter<T>(*this);
  }

  /** Learning rate of a warm-start transfer onto `target`:
   *  warm_start_lr * (gamma_vec[1] / gamma_vec[target]) ** significance, times the SGD learning
   *  rate where scale_transfer_lr is set. */
  T getWarmStartLR(int target, T current_lr) const;
};

/**
 * Transfer compound with a warm start (Li et al., arXiv 2510.02516, phase 1).
 *
 * Device 0 is the gradient tile, the last device the most significant one. While `target()` is
 * k >= 0, transfers follow the warm-start route towards k; from then on the chain runs, which is
 * the behaviour of TransferRPUDevice, bit for bit.
 */
template <typename T> class WarmStartTransferRPUDevice : public RPU::TransferRPUDevice<T> {
public:
  WarmStartTransferRPUDevice(int x_size, int d_size);
  WarmStartTransferRPUDevice(
      int x_size,
      int d_size,
      const WarmStartTransferRPUDeviceMetaParameter<T> &par,
      RPU::RealWorldRNG<T> *rng);
  ~WarmStartTransferRPUDevice() override = default;

  WarmStartTransferRPUDevice(const WarmStartTransferRPUDevice<T> &);
  WarmStartTransferRPUDevice<T> &operator=(const WarmStartTransferRPUDevice<T> &);
  WarmStartTransferRPUDevice(WarmStartTransferRPUDevice<T> &&) noexcept;
  WarmStartTransferRPUDevice<T> &operator=(WarmStartTransferRPUDevice<T> &&) noexcept;

  friend void
  swap(WarmStartTransferRPUDevice<T> &a, WarmStartTransferRPUDevice<T> &b) noexcept {
    using std::swap;
    swap(static_cast<RPU::TransferRPUDevice<T> &>(a), static_cast<RPU::TransferRPUDevice<T> &>(b));
    swap(a.switches_, b.switches_);
    swap(a.vectors_since_reduce_, b.vectors_since_reduce_);
    swap(a.transfers_, b.transfers_);
    swap(a.pulses_, b.pulses_);
    a.rest_stale_ = true;
    b.rest_stale_ = true;
  }

  WarmStartTransferRPUDeviceMetaParameter<T> &getPar() const override {
    return static_cast<WarmStartTransferRPUDeviceMetaParameter<T> &>(
        RPU::SimpleRPUDevice<T>::getPar());
  }
  WarmStartTransferRPUDevice<T> *clone() const override {
    return new WarmStartTransferRPUDevice<T>(*this);
  }

  /** Index of the device that the warm start fills now, or -1 while the chain runs. */
  int target() const;
  int switches() const { return switches_; }
  int totalSwitches() const;
  /** Goes to the next stage; throws std::runtime_error when the chain already runs. */
  void advance();

  /** Transfer events received by, and pulses that changed a cross-point of, each device. */
  const std::vector<uint64_t> &transfers() const { return transfers_; }
  const std::vector<uint64_t> &pulses() const { return pulses_; }
  void addPulses(int device_idx, uint64_t n) { pulses_[device_idx] += n; }

  // The rest of the update's parts, for an engine that replaces aihwkit's pulse path.
  struct Transfer {
    int to;
    int from;
    T lr;
  };
  /** Vectors until the next transfer is due, at least 1, when each mini-batch has m_batch. */
  int64_t vectorsToNextTransfer(int m_batch, const RPU::PulsedUpdateMetaParameter<T> &up) const;
  /** Counts n_vectors updates and returns the transfers due after them, in their order. */
  std::vector<Transfer> advanceUpdates(
      int64_t n_vectors, T current_lr, int m_batch, const RPU::PulsedUpdateMetaParameter<T> &up);
  /** First slice of the next transfer from a device; moves the slice counter on. */
  int takeSlice(int from);
  void countTransfer(int to) { transfers_[to]++; }
  /** sum over k >= 1 of gamma_vec[k] * w_k, all cross-points. Kept, since only transfers change it;
   * made anew, and `weights` reduced with it, after anything else has touched the devices. */
  const T *restWeights(T **weights);
  /** Reduces one column of the devices again, in the rows that are marked. */
  void reduceColumn(T **weights, int column, const std::vector<char> &marked);
  /** Must be called after the devices' weights were changed from outside. */
  void invalidateRest() { rest_stale_ = true; }
  bool fullyHidden() const { return this->fully_hidden_; }
  int nDevices() const { return this->n_devices_; }

  int getTransferEvery(
      int from_device_idx,
      int m_batch,
      const RPU::PulsedUpdateMetaParameter<T> &up) const override;
  void finishUpdateCycle(
      T **weights,
      const RPU::PulsedUpdateMetaParameter<T> &up,
      T current_lr,
      int m_batch_info) override;
  void writeVector(
      int device_idx, const T *in_vec, const T *out_vec, const T lr, const int m_batch_info)
      override;
  void doSparseUpdate(
      T **weights,
      int i,
      const int *x_signed_indices,
      int x_count,
      int d_sign,
      RPU::RNG<T> *rng) override;
  void doDenseUpdate(T **weights, int *coincidences, RPU::RNG<T> *rng) override;

  void dumpExtra(RPU::state_t &extra, const std::string prefix) override;
  void loadExtra(const RPU::state_t &extra, const std::string prefix, bool strict) override;

protected:
  int resetCounters(bool force = false) override;
  void reduceToWeights(T **weights) const override;

private:
  int periodEvery(int m_batch) const;
  int scaledEvery(T every, int m_batch, const char *name) const;
  std::vector<Transfer>
  dueTransfers(T current_lr, int m_batch, const RPU::PulsedUpdateMetaParameter<T> &up) const;
  void runTransfer(const Transfer &transfer, T current_lr, int m_batch);
  T restOf(size_t cross_point) const;

  int switches_ = 0;
  int vectors_since_reduce_ = 0;
  std::vector<uint64_t> transfers_;
  std::vector<uint64_t> pulses_;

  // Derived from the devices' weights: neither copied nor saved.
  std::vector<T> rest_;
  mutable bool rest_stale_ = true;
};

} // namespace warmtile
