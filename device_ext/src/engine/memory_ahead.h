// Asks for the memory of cross-points before their pulses come.
#pragma once

#include <algorithm>
#include <cstdint>

#include "engine/pulse_trains.h"
#include "engine/row_events.h"

namespace warmtile {

/**
 * Pulses meet a row's cache lines in an order that no prefetcher of a processor sees through.
 * Where they will meet nearly all of them, the next row is asked for from end to end, bit by bit,
 * while this one is pulsed.
 */
class MemoryAhead {
public:
  MemoryAhead(const DeviceArrays &device, const RowEvents &rows)
      : rows_(rows), x_size_(device.x_size), d_size_(device.d_size) {
    const DeviceLine &all = device.all;
    for (const float *array :
         {(const float *)all.w, all.scale_up, all.scale_down, all.slope_up, all.slope_down,
          all.reference, all.min_bound, all.max_bound, (const float *)all.total, all.rest}) {
      if (array != nullptr) {
        arrays_.arrays[arrays_.n_arrays++] = array;
      }
    }
  }

  /** What to ask for during the events of this row, which come next. */
  AskedAhead during(int row) const {
    AskedAhead ahead = arrays_;
    if (row + 1 < d_size_ && dense(row + 1)) {
      const int64_t lines = (x_size_ + floats_a_line - 1) / floats_a_line;
      const int64_t steps = std::max<int64_t>(1, rows_.starts[row + 1] - rows_.starts[row]);
      ahead.stride = (lines + steps - 1) / steps * floats_a_line;
      ahead.at = (int64_t)(row + 1) * x_size_;
      ahead.end = ahead.at + x_size_;
    }
    return ahead;
  }

private:
  static constexpr int64_t floats_a_line = 16;

  /** Whether most of a row's cache lines will be needed. */
  bool dense(int row) const { return rows_.pulses_in[row] * floats_a_line >= x_size_; }

  const RowEvents &rows_;
  const int64_t x_size_;
  const int d_size_;
  AskedAhead arrays_{};
};

} // namespace warmtile
