#include "engine/row_events.h"

#include <algorithm>
#include <cstdlib>

namespace warmtile {

void sortByRow(
    const std::vector<Block> &blocks,
    size_t n_blocks,
    int d_size,
    int lr_sign,
    int n_threads,
    RowEvents &rows) {
  // A counting sort. Each share is a run of blocks, so that a row's events stay in their order.
  const int n_shares = std::max(n_threads, 1);
  rows.shares.resize((size_t)n_shares);
  const auto ofShare = [&](int share, const auto &visit) {
    const size_t end = n_blocks * (size_t)(share + 1) / (size_t)n_shares;
    for (size_t b = n_blocks * (size_t)share / (size_t)n_shares; b < end; b++) {
      for (const Event &event : blocks[b].events) {
        visit(blocks[b], event);
      }
    }
  };
#pragma omp parallel for num_threads(n_shares) if (n_shares > 1) schedule(static, 1)
  for (int s = 0; s < n_shares; s++) {
    RowEvents::Share &share = rows.shares[(size_t)s];
    share.next.assign((size_t)d_size, 0);
    share.pulses_in.assign((size_t)d_size, 0);
    share.max_lines = 0;
    ofShare(s, [&](const Block &block, const Event &event) {
      share.max_lines = std::max(share.max_lines, event.x_count);
      for (int32_t k = 0; k < event.d_count; k++) {
        const auto row = (size_t)std::abs(block.d_lines[event.d_begin + k]) - 1;
        share.next[row]++;
        share.pulses_in[row] += event.x_count;
      }
    });
  }

  rows.starts.resize((size_t)d_size + 1);
  rows.pulses_in.assign((size_t)d_size, 0);
  rows.pulses = 0;
  rows.max_lines = 0;
  for (const RowEvents::Share &share : rows.shares) {
    rows.max_lines = std::max(rows.max_lines, share.max_lines);
  }
  int64_t at = 0;
  for (size_t row = 0; row < (size_t)d_size; row++) {
    rows.starts[row] = at;
    for (RowEvents::Share &share : rows.shares) {
      const int64_t events = share.next[row];
      share.next[row] = at;
      at += events;
      rows.pulses_in[row] += share.pulses_in[row];
    }
    rows.pulses += (uint64_t)rows.pulses_in[row];
  }
  rows.starts[(size_t)d_size] = at;
  rows.events.resize((size_t)at);

#pragma omp parallel for num_threads(n_shares) if (n_shares > 1) schedule(static, 1)
  for (int s = 0; s < n_shares; s++) {
    RowEvents::Share &share = rows.shares[(size_t)s];
    ofShare(s, [&](const Block &block, const Event &event) {
      for (int32_t k = 0; k < event.d_count; k++) {
        const int32_t line = block.d_lines[event.d_begin + k];
        rows.events[(size_t)share.next[(size_t)std::abs(line) - 1]++] = {
            event.key, block.x_lines.data() + event.x_begin, event.x_count,
            line < 0 ? -lr_sign : lr_sign};
      }
    });
  }
}

} // namespace warmtile
