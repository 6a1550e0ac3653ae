#include "warm_start_device.h"

#include <algorithm>
#include <cmath>
#include <sstream>
#include <stdexcept>

#include "counting_device.h"

namespace warmtile {

namespace {
[[noreturn]] void fail(const std::string &message) { throw std::runtime_error(message); }
} // namespace

/* Meta parameter ********************************************************************/

template <typename T>
void WarmStartTransferRPUDeviceMetaParameter<T>::initializeWithSize(int x_size, int d_size) {
  RPU::TransferRPUDeviceMetaParameter<T>::initializeWithSize(x_size, d_size);
  const int n = (int)this->vec_par.size();

  if (period < (T)0.0) {
    period = this->transfer_every_vec[0];
  }
  if (n_switches < 0) {
    n_switches = n - 1;
  }
  if (warm_start_lr < (T)0.0) {
    warm_start_lr = this->transfer_lr_vec[0];
  }
  if (!warm_start) {
    return;
  }
  if (!(period > (T)0.0)) {
    fail("period: must be above 0");
  }
  if (n_switches < 1 || n_switches > n) {
    fail("n_switches: must be 1 to the number of devices");
  }
  for (int k = 1; k < n; k++) {
    if (significance != (T)0.0 && this->gamma_vec[k] <= (T)0.0) {
      fail("gamma_vec: entries from 1 on must be above 0 where significance is not 0");
    }
    if (!std::isfinite((float)getWarmStartLR(k, (T)1.0))) {
      fail("significance: the learning rate of a warm-start transfer is not finite");
    }
  }
}

template <typename T> std::string WarmStartTransferRPUDeviceMetaParameter<T>::getName() const {
  return "WarmStart" + RPU::TransferRPUDeviceMetaParameter<T>::getName();
}

template <typename T>
void WarmStartTransferRPUDeviceMetaParameter<T>::printToStream(std::stringstream &ss) const {
  ss << "\t warm_start:\t\t" << std::boolalpha << warm_start << std::endl;
  if (warm_start) {
    ss << "\t route:\t\t\t" << (route == Route::Direct ? "direct" : "chained") << std::endl;
    ss << "\t period:\t\t" << period << std::endl;
    ss << "\t n_switches:\t\t" << n_switches << std::endl;
    ss << "\t warm_start_lr:\t\t" << warm_start_lr << std::endl;
    ss << "\t significance:\t\t" << significance << std::endl;
  }
  RPU::TransferRPUDeviceMetaParameter<T>::printToStream(ss);
}

template <typename T>
T WarmStartTransferRPUDeviceMetaParameter<T>::getWarmStartLR(int target, T current_lr) const {
  T lr = warm_start_lr;
  if (significance != (T)0.0) {
    lr *= (T)std::pow(
        (double)this->gamma_vec[1] / (double)this->gamma_vec[target], (double)significance);
  }
  return this->scale_transfer_lr ? lr * current_lr : lr;
}

/* Construction and copies ***********************************************************/

template <typename T>
WarmStartTransferRPUDevice<T>::WarmStartTransferRPUDevice(int x_size, int d_size)
    : RPU::TransferRPUDevice<T>(x_size, d_size) {}

template <typename T>
WarmStartTransferRPUDevice<T>::WarmStartTransferRPUDevice(
    int x_size,
    int d_size,
    const WarmStartTransferRPUDeviceMetaParameter<T> &par,
    RPU::RealWorldRNG<T> *rng)
    : RPU::TransferRPUDevice<T>(x_size, d_size) {
  this->populate(par, rng);
  transfers_.assign(this->n_devices_, 0);
  pulses_.assign(this->n_devices_, 0);
}

template <typename T>
WarmStartTransferRPUDevice<T>::WarmStartTransferRPUDevice(
    const WarmStartTransferRPUDevice<T> &other)
    : RPU::TransferRPUDevice<T>(other), switches_(other.switches_),
      vectors_since_reduce_(other.vectors_since_reduce_), transfers_(other.transfers_),
      pulses_(other.pulses_) {}

template <typename T>
WarmStartTransferRPUDevice<T> &
WarmStartTransferRPUDevice<T>::operator=(const WarmStartTransferRPUDevice<T> &other) {
  WarmStartTransferRPUDevice<T> tmp(other);
  swap(*this, tmp);
  return *this;
}

template <typename T>
WarmStartTransferRPUDevice<T>::WarmStartTransferRPUDevice(
    WarmStartTransferRPUDevice<T> &&other) noexcept
    : RPU::TransferRPUDevice<T>() {
  *this = std::move(other);
}

template <typename T>
WarmStartTransferRPUDevice<T> &
WarmStartTransferRPUDevice<T>::operator=(WarmStartTransferRPUDevice<T> &&other) noexcept {
  switches_ = other.switches_;
  vectors_since_reduce_ = other.vectors_since_reduce_;
  transfers_ = std::move(other.transfers_);
  pulses_ = std::move(other.pulses_);
  rest_stale_ = true;
  RPU::TransferRPUDevice<T>::operator=(std::move(other));
  return *this;
}

/* Stages ****************************************************************************/

template <typename T> int WarmStartTransferRPUDevice<T>::totalSwitches() const {
  return getPar().warm_start ? getPar().n_switches : 0;
}

template <typename T> int WarmStartTransferRPUDevice<T>::target() const {
  return switches_ < totalSwitches() ? this->n_devices_ - 1 - switches_ : -1;
}

template <typename T> void WarmStartTransferRPUDevice<T>::advance() {
  if (target() < 0) {
    fail("the chain already runs: there is no further stage");
  }
  switches_++;
}

/** Setting weights restarts the transfer counters, as in the stock compound. The stage stays: it
 * belongs to the training, and a reload of weights must not silently restart the warm start. */
template <typename T> int WarmStartTransferRPUDevice<T>::resetCounters(bool force) {
  vectors_since_reduce_ = 0;
  return RPU::TransferRPUDevice<T>::resetCounters(force);
}

/* Transfers *************************************************************************/

template <typename T>
int WarmStartTransferRPUDevice<T>::scaledEvery(T every, int m_batch, const char *name) const {
  // The stock expression, but checked: its cast to int is undefined from 2**31 on.
  const float vectors = getPar().units_in_mbatch ? ceilf((float)every * (float)m_batch)
                                                 : roundf((float)every);
  if (!(vectors < 2147483648.0f)) {
    std::ostringstream ss;
    ss << name << ": " << every << " mini-batches of " << m_batch
       << " vectors are 2**31 vectors or more, which aihwkit's counter cannot hold";
    fail(ss.str());
  }
  return std::max((int)vectors, 0);
}

template <typename T>
int WarmStartTransferRPUDevice<T>::getTransferEvery(
    int from_device_idx, int m_batch, const RPU::PulsedUpdateMetaParameter<T> &up) const {
  (void)up;
  return scaledEvery(this->transfer_every_[from_device_idx], m_batch, "transfer_every_vec");
}

template <typename T> int WarmStartTransferRPUDevice<T>::periodEvery(int m_batch) const {
  return scaledEvery(getPar().period, m_batch, "period");
}

template <typename T>
std::vector<typename WarmStartTransferRPUDevice<T>::Transfer>
WarmStartTransferRPUDevice<T>::dueTransfers(
    T current_lr, int m_batch, const RPU::PulsedUpdateMetaParameter<T> &up) const {
  std::vector<Transfer> due;
  const auto &par = getPar();
  const int n = this->n_devices_;
  const auto hits = [this](int every) {
    return every > 0 && this->current_update_idx_ % (uint64_t)every == 0;
  };
  const int k = target();

  // The warm start checks the chain's periods too, so that an error does not wait for the chain.
  for (int j = 0; j < n; j++) {
    const int every = getTransferEvery(j, m_batch, up);
    if (k < 0 && hits(every)) {
      const int to = std::min(j + 1, n - 1);
      due.push_back({to, j, par.getTransferLR(to, j, current_lr)});
    }
  }
  if (k < 0) {
    return due;
  }
  if (par.route == Route::Direct) {
    // n_switches = n makes the gradient tile its own last target: nothing moves then.
    if (k > 0 && hits(periodEvery(m_batch))) {
      due.push_back({k, 0, par.getWarmStartLR(k, current_lr)});
    }
  } else {
    if (hits(getTransferEvery(0, m_batch, up))) {
      due.push_back(
          {1, 0,
           k == 1 ? par.getWarmStartLR(1, current_lr) : par.getTransferLR(1, 0, current_lr)});
    }
    if (k > 1 && hits(getTransferEvery(1, m_batch, up))) {
      due.push_back({k, 1, par.getWarmStartLR(k, current_lr)});
    }
  }
  return due;
}

template <typename T>
int64_t WarmStartTransferRPUDevice<T>::vectorsToNextTransfer(
    int m_batch, const RPU::PulsedUpdateMetaParameter<T> &up) const {
  int64_t next = INT64_MAX;
  const auto consider = [&](int every) {
    if (every > 0) {
      next = std::min(next, (int64_t)every - (int64_t)(this->current_update_idx_ % every));
    }
  };
  const int k = target();
  if (k >= 0 && getPar().route == Route::Direct) {
    consider(k > 0 ? periodEvery(m_batch) : 0);
  } else {
    const int n = k < 0 ? this->n_devices_ : (k > 1 ? 2 : 1);
    for (int j = 0; j < n; j++) {
      consider(getTransferEvery(j, m_batch, up));
    }
  }
  return next;
}

template <typename T>
std::vector<typename WarmStartTransferRPUDevice<T>::Transfer>
WarmStartTransferRPUDevice<T>::advanceUpdates(
    int64_t n_vectors,
    T current_lr,
    int m_batch,
    const RPU::PulsedUpdateMetaParameter<T> &up) {
  this->current_update_idx_ += (uint64_t)n_vectors;
  return dueTransfers(current_lr, m_batch, up);
}

template <typename T> int WarmStartTransferRPUDevice<T>::takeSlice(int from) {
  const auto &par = getPar();
  const int slice = this->current_slice_indices_[from];
  this->current_slice_indices_[from] =
      (slice + std::min(par.n_reads_per_transfer, par.getInSize())) % par.getInSize();
  return slice;
}

template <typename T>
void WarmStartTransferRPUDevice<T>::runTransfer(
    const Transfer &transfer, T current_lr, int m_batch) {
  if (transfer.lr != (T)0.0 && transfer.to != transfer.from) {
    transfers_[transfer.to]++;
  }
  if (target() < 0) { // the chain's are aihwkit's own, down to the number of draws
    this->transfer(transfer.to, transfer.from, current_lr, m_batch);
    return;
  }
  const auto &par = getPar();
  const int in_size = par.getInSize();
  const int n_reads = std::min(par.n_reads_per_transfer, in_size);

  int slice = this->current_slice_indices_[transfer.from];
  if (par.random_selection) {
    slice = (int)std::floor((float)this->rw_rng_.sampleUniform() * (float)in_size);
    slice = std::max(std::min(slice, in_size - 1), 0);
  }
  const auto read = [&](int start, int n) {
    this->readAndUpdate(
        transfer.to, transfer.from, transfer.lr, &this->transfer_vecs_[(size_t)start * in_size], n,
        par.with_reset_prob, start, m_batch);
  };
  const int n_first = std::min(n_reads, in_size - slice);
  read(slice, n_first);
  if (n_first < n_reads) {
    read(0, n_reads - n_first);
  }
  this->current_slice_indices_[transfer.from] = (slice + n_reads) % in_size;
}

/* Update ****************************************************************************/

template <typename T>
void WarmStartTransferRPUDevice<T>::finishUpdateCycle(
    T **weights,
    const RPU::PulsedUpdateMetaParameter<T> &up,
    T current_lr,
    int m_batch_info) {
  // Skips TransferRPUDevice: it would transfer by the chain and reduce after every vector.
  RPU::VectorRPUDevice<T>::finishUpdateCycle(weights, up, current_lr, m_batch_info);
  this->last_weight_ = this->fully_hidden_ ? weights : nullptr;

  for (const auto &transfer : dueTransfers(current_lr, m_batch_info, up)) {
    runTransfer(transfer, current_lr, m_batch_info);
  }
  // Nobody reads the weights before the mini-batch ends, so one reduction gives the same bits.
  if (++vectors_since_reduce_ >= m_batch_info) {
    vectors_since_reduce_ = 0;
    this->reduceToWeights(weights);
  }
}

template <typename T>
void WarmStartTransferRPUDevice<T>::writeVector(
    int device_idx, const T *in_vec, const T *out_vec, const T lr, const int m_batch_info) {
  T **W = this->getDeviceWeights(device_idx);
  CountingDevice<T> counter(*this->rpu_device_vec_[device_idx]);
  const bool columns = getPar().transfer_columns;
  this->transfer_pwu_->updateVectorWithDevice(
      W, columns ? in_vec : out_vec, 1, columns ? out_vec : in_vec, 1, lr, m_batch_info, &counter);
  pulses_[device_idx] += counter.pulses();
}

template <typename T>
void WarmStartTransferRPUDevice<T>::doSparseUpdate(
    T **weights,
    int i,
    const int *x_signed_indices,
    int x_count,
    int d_sign,
    RPU::RNG<T> *rng) {
  pulses_[0] += (uint64_t)x_count;
  RPU::TransferRPUDevice<T>::doSparseUpdate(weights, i, x_signed_indices, x_count, d_sign, rng);
}

template <typename T>
void WarmStartTransferRPUDevice<T>::doDenseUpdate(
    T **weights, int *coincidences, RPU::RNG<T> *rng) {
  pulses_[0] += countCoincidences(coincidences, this->size_);
  RPU::TransferRPUDevice<T>::doDenseUpdate(weights, coincidences, rng);
}

/** Every change that aihwkit makes to the devices ends here. */
template <typename T> void WarmStartTransferRPUDevice<T>::reduceToWeights(T **weights) const {
  rest_stale_ = true;
  RPU::TransferRPUDevice<T>::reduceToWeights(weights);
}

/* The fast engine's reduction ********************************************************/

template <typename T> T WarmStartTransferRPUDevice<T>::restOf(size_t cross_point) const {
  T rest = (T)0.0;
  for (int k = 1; k < this->n_devices_; k++) {
    rest += this->reduce_weightening_[k] * this->weights_vec_[k][0][cross_point];
  }
  return rest;
}

template <typename T> const T *WarmStartTransferRPUDevice<T>::restWeights(T **weights) {
  if (rest_stale_) {
    const auto size = (size_t)this->size_;
    rest_.resize(size);
    const T gamma = this->reduce_weightening_[0];
    for (size_t i = 0; i < size; i++) {
      rest_[i] = restOf(i);
      weights[0][i] = rest_[i] + gamma * this->weights_vec_[0][0][i];
    }
    rest_stale_ = false;
  }
  return rest_.data();
}

template <typename T>
void WarmStartTransferRPUDevice<T>::reduceColumn(
    T **weights, int column, const std::vector<char> &marked) {
  const T gamma = this->reduce_weightening_[0];
  for (size_t row = 0; row < marked.size(); row++) {
    if (marked[row] == 0) {
      continue;
    }
    const auto at = row * (size_t)this->x_size_ + (size_t)column;
    rest_[at] = restOf(at);
    weights[0][at] = rest_[at] + gamma * this->weights_vec_[0][0][at];
  }
}

/* State *****************************************************************************/

template <typename T>
void WarmStartTransferRPUDevice<T>::dumpExtra(RPU::state_t &extra, const std::string prefix) {
  RPU::TransferRPUDevice<T>::dumpExtra(extra, prefix);

  RPU::state_t state;
  state["switches"] = {(double)switches_};
  state["vectors_since_reduce"] = {(double)vectors_since_reduce_};
  state["transfers"] = std::vector<double>(transfers_.begin(), transfers_.end());
  state["pulses"] = std::vector<double>(pulses_.begin(), pulses_.end());
  RPU::insertWithPrefix(extra, state, prefix);
}

template <typename T>
void WarmStartTransferRPUDevice<T>::loadExtra(
    const RPU::state_t &extra, const std::string prefix, bool strict) {
  RPU::TransferRPUDevice<T>::loadExtra(extra, prefix, strict);

  const auto state = RPU::selectWithPrefix(extra, prefix);
  const auto find = [&](const char *key, size_t size) -> const std::vector<double> * {
    const auto it = state.find(key);
    if (it == state.end()) {
      if (strict) {
        fail(std::string("state of the warm-start compound lacks ") + key);
      }
      return nullptr;
    }
    if (it->second.size() != size) {
      fail(std::string("state of the warm-start compound has a wrong size of ") + key);
    }
    return &it->second;
  };
  if (const auto *v = find("switches", 1)) {
    switches_ = (int)(*v)[0];
  }
  if (const auto *v = find("vectors_since_reduce", 1)) {
    vectors_since_reduce_ = (int)(*v)[0];
  }
  if (const auto *v = find("transfers", transfers_.size())) {
    std::transform(v->begin(), v->end(), transfers_.begin(), [](double c) { return (uint64_t)c; });
  }
  if (const auto *v = find("pulses", pulses_.size())) {
    std::transform(v->begin(), v->end(), pulses_.begin(), [](double c) { return (uint64_t)c; });
  }
}

template struct WarmStartTransferRPUDeviceMetaParameter<float>;
template class WarmStartTransferRPUDevice<float>;

} // namespace warmtile
