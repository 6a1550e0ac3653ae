#include "engine/pulse_trains.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "engine/drawing.h"
#include "engine/memory_ahead.h"
#include "engine/row_events.h"
#include "engine/train_rule.h"
#include "rpu_constantstep_device.h"
#include "rpu_expstep_device.h"
#include "rpu_linearstep_device.h"
#include "rpu_powstep_device.h"
#include "rpu_powstep_reference_device.h"
#include "rpu_softbounds_reference_device.h"

namespace warmtile {

namespace {

constexpr int vectors_per_block = 64;
// Below these a second thread costs more than it brings.
constexpr int64_t lines_worth_a_thread = 200000;
constexpr uint64_t pulses_worth_a_thread = 20000;

constexpr uint64_t write_stream = uint64_t{2} << 32;

/** Key of the write noise beside a key of cycle noise. A child, not the same key with a bit turned:
 * such streams are not independent. */
Key32 writeKey(const DeviceLine &line, uint64_t key) {
  return line.write_noise_std > 0.0f ? split(childKey(key, write_stream)) : Key32{};
}

/** Slots that a row's pulses come in at a time, and their lines where a slot has not more: enough
 * that the noise of one does not wait for itself. */
constexpr int slots_at_once = 4;
constexpr int lines_at_once = 128;
/** Events whose lines are asked for ahead. */
constexpr int64_t events_ahead = 8;

void pulseRow(
    const DeviceArrays &device,
    int row,
    const RowEvents &rows,
    const MemoryAhead &memory,
    float *scratch) {
  const DeviceLine line = device.from((int64_t)row * device.x_size);
  const auto pulse = kernels().pulse;
  const int64_t end = rows.starts[row + 1];
  AskedAhead ahead = memory.during(row);
  SlotPulses slots[slots_at_once];
  for (int64_t e = rows.starts[row]; e < end;) {
    int n = 0;
    int n_lines = 0;
    do {
      const RowEvent &event = rows.events[e];
      if (e + events_ahead < end) {
        const int32_t *lines = rows.events[e + events_ahead].x_lines;
        __builtin_prefetch(lines);
        __builtin_prefetch(lines + 16);
      }
      const uint64_t key = childKey(event.key, (uint64_t)row);
      slots[n++] = {event.x_lines, event.x_count, event.direction, split(key), writeKey(line, key)};
      n_lines += event.x_count;
      e++;
    } while (e < end && n < slots_at_once && n_lines + rows.events[e].x_count <= lines_at_once);
    pulse(line, slots, n, ahead, scratch);
  }
}

template <typename P> P *advanced(P *p, int64_t offset) {
  return p == nullptr ? nullptr : p + offset;
}

} // namespace

DeviceLine DeviceArrays::from(int64_t offset) const {
  DeviceLine d = all;
  d.w = advanced(d.w, offset);
  d.w_apparent = advanced(d.w_apparent, offset);
  d.scale_up = advanced(d.scale_up, offset);
  d.scale_down = advanced(d.scale_down, offset);
  d.slope_up = advanced(d.slope_up, offset);
  d.slope_down = advanced(d.slope_down, offset);
  d.reference = advanced(d.reference, offset);
  d.min_bound = advanced(d.min_bound, offset);
  d.max_bound = advanced(d.max_bound, offset);
  d.total = advanced(d.total, offset);
  d.rest = advanced(d.rest, offset);
  return d;
}

bool deviceArrays(
    RPU::AbstractRPUDevice<float> &device, float **weights, DeviceArrays &arrays) {
  auto *pulsed = dynamic_cast<RPU::PulsedRPUDevice<float> *>(&device);
  if (pulsed == nullptr) {
    return false;
  }
  DeviceLine d{};
  if (dynamic_cast<RPU::ConstantStepRPUDevice<float> *>(&device) != nullptr) {
    d.rule = StepRule::ConstantStep;
  } else if (auto *linear = dynamic_cast<RPU::LinearStepRPUDevice<float> *>(&device)) {
    d.rule = linear->getPar().ls_mult_noise ? StepRule::LinearStepMult : StepRule::LinearStepAdd;
    d.slope_up = linear->getSlopeUp()[0];
    d.slope_down = linear->getSlopeDown()[0];
  } else if (auto *soft = dynamic_cast<RPU::SoftBoundsReferenceRPUDevice<float> *>(&device)) {
    d.rule = soft->getPar().mult_noise ? StepRule::SoftBoundsReferenceMult
                                       : StepRule::SoftBoundsReferenceAdd;
    d.reference = soft->getReference()[0];
  } else if (auto *exp = dynamic_cast<RPU::ExpStepRPUDevice<float> *>(&device)) {
    const auto &e = exp->getPar();
    d.rule = e.hasComplexNoise() ? StepRule::ExpStepComplexNoise : StepRule::ExpStep;
    d.exp_step = {e.es_A_up, e.es_A_down,      e.es_gamma_up,     e.es_gamma_down, e.es_a,
                  e.es_b,    e.dw_min_std_add, e.dw_min_std_slope};
  } else if (auto *pow = dynamic_cast<RPU::PowStepRPUDevice<float> *>(&device)) {
    d.rule = StepRule::PowStep;
    d.slope_up = pow->getGammaUp()[0];
    d.slope_down = pow->getGammaDown()[0];
  } else if (auto *ref = dynamic_cast<RPU::PowStepReferenceRPUDevice<float> *>(&device)) {
    d.rule = StepRule::PowStepReference;
    d.slope_up = ref->getGammaUp()[0];
    d.slope_down = ref->getGammaDown()[0];
    d.reference = ref->getReference()[0];
  } else {
    return false;
  }
  const auto &par = pulsed->getPar();
  const bool persistent = par.usesPersistentWeight();
  d.w = persistent ? pulsed->getPersistentWeights()[0] : weights[0];
  d.w_apparent = weights[0];
  d.scale_up = pulsed->getScaleUp()[0];
  d.scale_down = pulsed->getScaleDown()[0];
  d.min_bound = pulsed->getMinBound()[0];
  d.max_bound = pulsed->getMaxBound()[0];
  d.dw_min_std = par.dw_min_std;
  d.write_noise_std = persistent ? par.getScaledWriteNoise() : 0.0f;
  arrays = {d, pulsed->getXSize(), pulsed->getDSize()};
  return true;
}

uint64_t applyPulseTrains(
    const DeviceArrays &device,
    const VectorBatch &x,
    const VectorBatch &d,
    int begin,
    int end,
    const UpdateRule &rule) {
  // Kept between calls: an update allocates nothing once they have grown.
  static thread_local std::vector<Block> blocks;
  static thread_local RowEvents rows;

  const int n_blocks = (end - begin + vectors_per_block - 1) / vectors_per_block;
  if (blocks.size() < (size_t)n_blocks) {
    blocks.resize(n_blocks);
  }
  std::vector<Block> &drawn = blocks; // the caller's, not each worker's
  const TrainRule scales(rule);
  const int64_t lines = (int64_t)(end - begin) * (device.x_size + device.d_size);
  const int draw_threads = lines >= lines_worth_a_thread ? std::min(rule.n_threads, n_blocks) : 1;
#pragma omp parallel num_threads(draw_threads) if (draw_threads > 1)
  {
    RowReader x_rows(x, device.x_size);
    RowReader d_rows(d, device.d_size);
#pragma omp for schedule(dynamic)
    for (int b = 0; b < n_blocks; b++) {
      const int first = begin + b * vectors_per_block;
      const int last = std::min(first + vectors_per_block, end);
      drawBlock(drawn[b], x_rows, d_rows, first, last, rule, scales);
    }
  }

  sortByRow(
      blocks, (size_t)n_blocks, device.d_size, rule.lr < 0.0f ? -1 : 1, draw_threads, rows);
  RowEvents &sorted = rows;
  const int pulse_threads =
      sorted.pulses >= pulses_worth_a_thread ? std::min(rule.n_threads, device.d_size) : 1;
  // Rows in stretches: each thread asks for the memory of its next row ahead.
  const int stretch = std::clamp(device.d_size / (8 * pulse_threads), 1, 32);
#pragma omp parallel num_threads(pulse_threads) if (pulse_threads > 1)
  {
    std::vector<float> scratch((size_t)noiseRoom(std::max(sorted.max_lines, lines_at_once)));
    const MemoryAhead memory(device, sorted);
#pragma omp for schedule(dynamic, stretch)
    for (int i = 0; i < device.d_size; i++) {
      pulseRow(device, i, sorted, memory, scratch.data());
    }
  }
  return sorted.pulses;
}

uint64_t applyColumn(
    const DeviceArrays &device,
    int column,
    const float *d,
    const UpdateRule &rule,
    std::vector<char> &pulsed) {
  pulsed.assign((size_t)device.d_size, 0);
  const auto trains = TrainRule(rule)(1.0f, kernels().absMax(d, device.d_size));
  static thread_local Lines fired;
  static thread_local std::vector<float> scratch;
  scratch.resize((size_t)noiseRoom(device.d_size));
  const DeviceLine line = device.from(column);
  uint64_t pulses = 0;
  for (int slot = 0; slot < trains.BL; slot++) {
    const uint64_t x_key = childKey(rule.key, 2 * slot);
    if (!(uniform(draw(split(x_key), (uint32_t)column)) < trains.B)) {
      continue;
    }
    fired.clear();
    const int n =
        fireInto(fired, d, device.d_size, trains.A, childKey(rule.key, 2 * slot + 1));
    for (int32_t &f : fired) { // rows of the column, as offsets into the row-major arrays
      pulsed[(size_t)std::abs(f) - 1] = 1;
      f = f < 0 ? (f + 1) * device.x_size - 1 : (f - 1) * device.x_size + 1;
    }
    const uint64_t key = childKey(rule.key, noise_stream + slot);
    const SlotPulses slots{
        fired.data(), n, rule.lr < 0.0f ? -1 : 1, split(key), writeKey(line, key)};
    AskedAhead nothing{};
    kernels().pulse(line, &slots, 1, nothing, scratch.data());
    pulses += (uint64_t)n;
  }
  return pulses;
}

uint64_t applyRow(const DeviceArrays &device, int row, const float *x, const UpdateRule &rule) {
  const float x_abs_max = kernels().absMax(x, device.x_size);
  if (!(x_abs_max > 0.0f)) {
    return 0;
  }
  const auto trains = TrainRule(rule)(x_abs_max, 1.0f);
  static thread_local Lines fired;
  static thread_local std::vector<float> scratch;
  scratch.resize((size_t)noiseRoom(device.x_size));
  const DeviceLine line = device.from((int64_t)row * device.x_size);
  uint64_t pulses = 0;
  for (int slot = 0; slot < trains.BL; slot++) {
    const uint64_t d_key = childKey(rule.key, 2 * slot + 1);
    if (!(uniform(draw(split(d_key), (uint32_t)row)) < trains.A)) {
      continue;
    }
    fired.clear();
    const int n = fireInto(fired, x, device.x_size, trains.B, childKey(rule.key, 2 * slot));
    const uint64_t key = childKey(rule.key, noise_stream + slot);
    const SlotPulses slots{
        fired.data(), n, rule.lr < 0.0f ? -1 : 1, split(key), writeKey(line, key)};
    AskedAhead nothing{};
    kernels().pulse(line, &slots, 1, nothing, scratch.data());
    pulses += (uint64_t)n;
  }
  return pulses;
}

} // namespace warmtile
