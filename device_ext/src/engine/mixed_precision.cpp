#include <algorithm>
#include <cmath>
#include <vector>

#include "access.h"
#include "engine/compounds.h"
#include "engine/kernels.h"
#include "engine/pulse_trains.h"
#include "engine/vectors.h"
#include "keys.h"

namespace warmtile {

namespace {

constexpr uint64_t transfer_stream = uint64_t{1} << 48;
// Numbers of x, and vectors, summed at a time: they stay in the cache while the rows of chi pass by.
constexpr int numbers_per_pass = 16384;
constexpr int most_vectors_per_pass = 128;
constexpr int64_t products_worth_a_thread = 1000000;

/** chi += lr * sum over vectors [begin, end) of d x^T; the order of the sum is that of the vectors,
 * for any number of threads. */
void accumulate(
    float **chi,
    int x_size,
    int d_size,
    const VectorBatch &x,
    const VectorBatch &d,
    int begin,
    int end,
    float lr,
    int n_threads) {
  const int x_stride = (x_size + 7) / 8 * 8; // as addProducts() reads them
  const int vectors_per_pass = std::clamp(numbers_per_pass / x_stride, 16, most_vectors_per_pass);
  std::vector<float> x_rows((size_t)vectors_per_pass * x_stride);
  std::vector<float> d_columns((size_t)vectors_per_pass * d_size);
  for (int first = begin; first < end; first += vectors_per_pass) {
    const int n = std::min(vectors_per_pass, end - first);
    copyVectors(x, first, n, x_size, x_rows.data(), x_stride);
    copyColumns(d, first, n, d_size, d_columns.data(), vectors_per_pass);
    const int threads = (int64_t)n * x_size * d_size >= products_worth_a_thread ? n_threads : 1;
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (int i = 0; i < d_size; i++) {
      int32_t vectors[most_vectors_per_pass];
      float scales[most_vectors_per_pass];
      int n_scales = 0;
      const float *column = d_columns.data() + (size_t)i * vectors_per_pass;
      for (int v = 0; v < n; v++) {
        const float scale = lr * column[v];
        vectors[n_scales] = v;
        scales[n_scales] = scale;
        n_scales += scale != 0.0f ? 1 : 0; // most are zero after a max-pool
      }
      if (n_scales > 0) {
        kernels().addProducts(
            chi[i], x_rows.data(), x_stride, vectors, scales, n_scales, x_size);
      }
    }
  }
}

} // namespace

std::string mixedRefusal(RPU::MixedPrecRPUDevice<float> &compound) {
  const auto &par = compound.getPar();
  if (par.n_x_bins > 0 || par.n_d_bins > 0) {
    return "x or d are quantised before the digital sum (n_x_bins, n_d_bins)";
  }
  if (par.compute_sparsity) {
    return "sparsity is computed (compute_sparsity)";
  }
  if (par.random_row) {
    return "rows are selected at random (random_row)";
  }
  DeviceArrays arrays;
  float *no_weights = nullptr;
  auto &device = access::MixedPrec::device(compound);
  if (!deviceArrays(device, &no_weights, arrays)) {
    return "device type " + device.getPar().getName();
  }
  return "";
}

uint64_t mixedUpdate(
    RPU::RPUPulsed<float> &tile,
    RPU::MixedPrecRPUDevice<float> &compound,
    const VectorBatch &x,
    const VectorBatch &d,
    int n_vectors,
    uint64_t key,
    int n_threads) {
  const auto &par = compound.getPar();
  const int x_size = tile.getXSize();
  const int d_size = tile.getDSize();
  const float lr = tile.getAlphaLearningRate();
  float **chi = compound.*opened(access::ChiTag{});
  int &row_index = compound.*opened(access::RowIndexTag{});
  int64_t &update_index = compound.*opened(access::UpdateIndexTag{});
  const float granularity = access::MixedPrec::granularity(compound);
  auto &device =
      static_cast<RPU::PulsedRPUDeviceBase<float> &>(access::MixedPrec::device(compound));
  DeviceArrays arrays;
  deviceArrays(device, tile.getWeightsPtr(), arrays);
  const auto &up = access::MixedPrec::transferUpdate(compound, tile.getMetaPar().up);

  int n_rows = par.n_rows_per_transfer < 0 ? d_size : std::min(par.n_rows_per_transfer, d_size);
  if (par.transfer_lr == 0.0f) {
    n_rows = 0;
  }
  uint64_t pulses = 0;
  uint64_t n_transfers = 0;
  const auto transfer = [&] {
    const uint64_t transfer_key = childKey(key, transfer_stream + n_transfers++);
    const int threads = (int64_t)n_rows * x_size >= products_worth_a_thread ? n_threads : 1;
#pragma omp parallel num_threads(threads) if (threads > 1) reduction(+ : pulses)
    {
      std::vector<float> steps((size_t)x_size);
#pragma omp for
      for (int r = 0; r < n_rows; r++) {
        const int row = (row_index + r) % d_size;
        if (kernels().absMax(chi[row], x_size) < granularity) {
          continue; // no whole step in it
        }
        for (int j = 0; j < x_size; j++) {
          const float whole = std::trunc(chi[row][j] / granularity);
          steps[j] = whole;
          chi[row][j] -= whole * granularity;
        }
        const UpdateRule rule{
            &up, granularity * par.transfer_lr, device.getWeightGranularity(),
            childKey(transfer_key, (uint64_t)row), 1};
        pulses += applyRow(arrays, row, steps.data(), rule);
      }
    }
    row_index = (row_index + n_rows) % d_size;
  };

  // aihwkit adds a vector first, then asks whether as many vectors as a transfer waits for have
  // come before it.
  const int64_t every = (int64_t)par.transfer_every * n_vectors;
  for (int begin = 0; begin < n_vectors;) {
    int end = n_vectors;
    bool due = false;
    if (every > 0) {
      int64_t at = begin + (every - update_index % every) % every;
      if (update_index == 0 && at == begin) {
        at += every;
      }
      due = at < n_vectors;
      end = due ? (int)at + 1 : n_vectors;
    }
    accumulate(chi, x_size, d_size, x, d, begin, end, lr, n_threads);
    if (due) {
      transfer();
    }
    update_index += end - begin;
    begin = end;
  }
  return pulses;
}

} // namespace warmtile
