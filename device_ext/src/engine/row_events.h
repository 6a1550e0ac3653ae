// Second pass of an update: what has fired, sorted by row.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/drawing.h"

namespace warmtile {

/** A d line's share of an event: the x lines to pulse, and which way. */
struct RowEvent {
  uint64_t key;
  const int32_t *x_lines;
  int32_t x_count;
  int32_t direction;
};

/** Events sorted by row, in order within a row. */
struct RowEvents {
  std::vector<int64_t> starts;
  std::vector<RowEvent> events;
  std::vector<int64_t> pulses_in; ///< of each row
  uint64_t pulses = 0;
  int32_t max_lines = 0;

  /** What one thread's blocks hold: sortByRow()'s own. */
  struct Share {
    std::vector<int64_t> next; ///< events of each row, then where the next one goes
    std::vector<int64_t> pulses_in;
    int32_t max_lines;
  };
  std::vector<Share> shares;
};

/** Sorts the events of the first `n_blocks` blocks; `lr_sign` turns their directions. */
void sortByRow(
    const std::vector<Block> &blocks,
    size_t n_blocks,
    int d_size,
    int lr_sign,
    int n_threads,
    RowEvents &rows);

} // namespace warmtile
