#include "engine/drawing.h"

#include <algorithm>
#include <cstdlib>

#include "engine/kernels.h"

namespace warmtile {

namespace {

constexpr int vectors_per_gather = 16;
// Gathering a few in vain costs less than gathering one by one.
constexpr int gathered_per_wanted = 4;

void chop(const std::vector<bool> *chopper, Lines &lines, int32_t begin) {
  if (chopper == nullptr) {
    return;
  }
  for (size_t k = (size_t)begin; k < lines.size(); k++) {
    if ((*chopper)[(size_t)std::abs(lines[k]) - 1]) {
      lines[k] = -lines[k];
    }
  }
}

/** A vector and its trains. */
struct Trains {
  int vector;
  uint64_t key;
  TrainScales scales;
};

/** Draws all slots of one vector; asks for x only where a line of d has fired. `next_x`, where not
 * null, are the lines of x that will be read after this vector's. */
void drawVector(
    Block &block,
    const Trains &trains,
    RowReader &x_rows,
    RowReader &d_rows,
    int end,
    const UpdateRule &rule,
    const float *next_x = nullptr) {
  const float *d = d_rows.row(trains.vector, end);
  for (int slot = 0; slot < trains.scales.BL; slot++) {
    // The d lines first: draws are keyed, so the x lines of a slot without any need not be drawn.
    const auto d_begin = (int32_t)block.d_lines.size();
    const int d_count = fireInto(
        block.d_lines, d, d_rows.nLines(), trains.scales.A, childKey(trains.key, 2 * slot + 1));
    if (d_count == 0) {
      continue;
    }
    const float *x = x_rows.row(trains.vector, end);
    const auto x_begin = (int32_t)block.x_lines.size();
    const int x_count = fireInto(
        block.x_lines, x, x_rows.nLines(), trains.scales.B, childKey(trains.key, 2 * slot), next_x);
    next_x = nullptr;
    if (x_count == 0) {
      block.d_lines.resize(d_begin);
      continue;
    }
    chop(rule.choppers.d, block.d_lines, d_begin);
    chop(rule.choppers.x, block.x_lines, x_begin);
    block.events.push_back(
        {childKey(trains.key, noise_stream + slot), x_begin, x_count, d_begin, d_count});
  }
}

/** Vectors [begin, begin + n), n <= max_neighbours, looked over where they lie. */
void drawSurveyed(
    Block &block,
    RowReader &x_rows,
    RowReader &d_rows,
    int begin,
    int n,
    const UpdateRule &rule,
    const TrainRule &scales) {
  static thread_local std::vector<float> sums;
  const int n_blocks = (d_rows.nLines() + lines_per_block - 1) / lines_per_block;
  sums.resize((size_t)n_blocks * max_neighbours);
  float x_abs_max[max_neighbours];
  float d_abs_max[max_neighbours];
  for (int v = 0; v < n;) {
    const int run = std::min(d_rows.neighbours(begin + v), n - v);
    d_rows.survey(begin + v, run, d_abs_max + v, sums.data() + v);
    v += run;
  }
  for (int v = 0; v < n;) {
    const int run = std::min(x_rows.neighbours(begin + v), n - v);
    x_rows.survey(begin + v, run, x_abs_max + v, nullptr);
    v += run;
  }
  int lengths[max_neighbours];
  float x_rates[max_neighbours];
  float d_rates[max_neighbours];
  scales.each(n, x_abs_max, d_abs_max, lengths, d_rates, x_rates);
  uint64_t bits = ~uint64_t{0};
  if (d_rows.nLines() >= fewest_lines) {
    bits = kernels().mayFire(
        sums.data(), n_blocks, n, rule.key, (uint64_t)begin, lengths, d_rates);
  }
  Trains found[max_neighbours];
  int n_found = 0;
  if (n < max_neighbours) {
    bits &= (uint64_t{1} << n) - 1;
  }
  for (; bits != 0; bits &= bits - 1) {
    const int v = __builtin_ctzll(bits);
    if (d_abs_max[v] > 0.0f && lengths[v] > 0) { // not so for vectors without any gradient
      found[n_found++] = {
          begin + v,
          childKey(rule.key, (uint64_t)(begin + v)),
          {lengths[v], d_rates[v], x_rates[v]}};
    }
  }
  for (int k = 0; k < n_found; k++) {
    const int first = found[k].vector;
    int last = k;
    while (last + 1 < n_found && found[last + 1].vector < first + vectors_per_gather) {
      last++;
    }
    const int width = found[last].vector + 1 - first;
    const bool together = width <= gathered_per_wanted * (last + 1 - k);
    drawVector(block, found[k], x_rows, d_rows, together ? first + width : first + 1, rule);
  }
}

} // namespace

RowReader::RowReader(const VectorBatch &batch, int n_lines) : batch_(batch), n_lines_(n_lines) {
  if (!contiguous()) {
    buffer_.resize((size_t)vectors_per_gather * n_lines);
  }
}

const float *RowReader::row(int vector, int end) {
  if (contiguous()) {
    return batch_.data + vectorOffset(batch_, vector);
  }
  if (vector < first_ || vector >= last_) {
    gather(vector, end);
  }
  return buffer_.data() + (size_t)(vector - first_) * n_lines_;
}

void RowReader::survey(int vector, int n, float *abs_max, float *sums) {
  const float *lines = batch_.data + vectorOffset(batch_, vector);
  if (!contiguous()) {
    kernels().survey(
        lines, batch_.line_offsets, batch_.line_stride, n_lines_, n, abs_max, sums);
    return;
  }
  columns_.resize((size_t)n_lines_ * max_neighbours);
  transposeRows(lines, batch_.inner_stride, n, n_lines_, columns_.data(), max_neighbours);
  kernels().survey(columns_.data(), nullptr, max_neighbours, n_lines_, n, abs_max, sums);
}

void RowReader::gather(int vector, int end) {
  const int n = std::min({vectors_per_gather, end - vector, neighbours(vector)});
  first_ = vector;
  last_ = vector + n;
  copyVectors(batch_, vector, n, n_lines_, buffer_.data(), n_lines_);
}

int fireInto(
    Lines &lines, const float *v, int n, float p, uint64_t key, const float *next) {
  const size_t before = lines.size();
  lines.resize(before + n + fire_slack);
  const int fired = kernels().fire(v, n, p, split(key), lines.data() + before, next);
  lines.resize(before + fired);
  return fired;
}

void drawBlock(
    Block &block,
    RowReader &x_rows,
    RowReader &d_rows,
    int begin,
    int end,
    const UpdateRule &rule,
    const TrainRule &scales) {
  block.clear();
  if (x_rows.sideBySide() && (d_rows.sideBySide() || d_rows.contiguous())) {
    for (int v = begin; v < end; v += max_neighbours) {
      drawSurveyed(block, x_rows, d_rows, v, std::min(end - v, max_neighbours), rule, scales);
    }
    return;
  }
  const auto &k = kernels();
  const auto d_max = [&](int v) { return k.absMax(d_rows.row(v, end), d_rows.nLines()); };
  // Rows of a batch wait for memory, so the next row of x is asked for while one is drawn.
  const bool ahead = x_rows.contiguous() && d_rows.contiguous();
  float next_d_max = -1.0f; // not known yet
  for (int v = begin; v < end; v++) {
    const float d_abs_max = next_d_max < 0.0f ? d_max(v) : next_d_max;
    next_d_max = -1.0f;
    if (!(d_abs_max > 0.0f)) {
      continue; // most vectors after a max-pool
    }
    const float *next_x = nullptr;
    if (ahead && v + 1 < end) {
      next_d_max = d_max(v + 1);
      next_x = next_d_max > 0.0f ? x_rows.row(v + 1, end) : nullptr;
    }
    const float x_abs_max = k.absMax(x_rows.row(v, end), x_rows.nLines());
    const Trains trains{v, childKey(rule.key, (uint64_t)v), scales(x_abs_max, d_abs_max)};
    drawVector(block, trains, x_rows, d_rows, end, rule, next_x);
  }
}

} // namespace warmtile
