#include "engine/row_events.h"

#include <algorithm>
#include <cstdlib>

namespace warmtile {

void sortByRow(
    const std::vector<Block> &blocks, size_t n_blocks, int d_size, int lr_sign, RowEvents &rows) {
  rows.starts.assign((size_t)d_size + 1, 0);
  rows.pulses_in.assign((size_t)d_size, 0);
  rows.pulses = 0;
  rows.max_lines = 0;
  for (size_t b = 0; b < n_blocks; b++) {
    for (const int32_t line : blocks[b].d_lines) {
      rows.starts[std::abs(line)]++;
    }
  }
  for (int i = 0; i < d_size; i++) {
    rows.starts[i + 1] += rows.starts[i];
  }
  rows.events.resize((size_t)rows.starts[d_size]);
  std::vector<int64_t> next(rows.starts.begin(), rows.starts.end() - 1);
  for (size_t b = 0; b < n_blocks; b++) {
    const Block &block = blocks[b];
    for (const Event &event : block.events) {
      rows.pulses += (uint64_t)event.x_count * (uint64_t)event.d_count;
      rows.max_lines = std::max(rows.max_lines, event.x_count);
      for (int32_t k = 0; k < event.d_count; k++) {
        const int32_t line = block.d_lines[event.d_begin + k];
        rows.pulses_in[std::abs(line) - 1] += event.x_count;
        rows.events[next[std::abs(line) - 1]++] = {
            event.key, block.x_lines.data() + event.x_begin, event.x_count,
            line < 0 ? -lr_sign : lr_sign};
      }
    }
  }
}

} // namespace warmtile
