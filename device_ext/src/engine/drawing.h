// First pass of an update: which lines fire, in every slot of every vector.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/engine.h"
#include "engine/pulse_trains.h"
#include "engine/train_rule.h"
#include "engine/vectors.h"

namespace warmtile {

// Streams of one vector: slot s has stream 2s for x and 2s + 1 for d; this one is a slot's noise.
constexpr uint64_t noise_stream = uint64_t{1} << 32;

/** One slot of one vector in which lines of both sides fired. */
struct Event {
  uint64_t key;
  int32_t x_begin, x_count;
  int32_t d_begin, d_count;
};

/** Leaves new elements as they are: room for fire() need not be zeroed first. */
template <typename V> struct Uninitialised : std::allocator<V> {
  template <typename U> struct rebind {
    using other = Uninitialised<U>;
  };
  template <typename U> void construct(U *p) noexcept { ::new ((void *)p) U; }
};
using Lines = std::vector<int32_t, Uninitialised<int32_t>>;

/** Events of consecutive vectors, in order. */
struct Block {
  std::vector<Event> events;
  Lines x_lines;
  Lines d_lines;

  void clear() {
    events.clear();
    x_lines.clear();
    d_lines.clear();
  }
};

/** Reads the vectors of a batch as contiguous rows; gathers several at a time where lines are
 * strided, since neighbouring vectors then share cache lines. */
class RowReader {
public:
  RowReader(const VectorBatch &batch, int n_lines);

  /** The lines of a vector; the vectors before `end` will be asked for next. */
  const float *row(int vector, int end);

  /** Whether the lines of a vector lie far apart, and those of the next vector beside them. */
  bool sideBySide() const { return !contiguous() && batch_.inner_stride == 1; }
  /** Vectors from this one on that lie side by side. */
  int neighbours(int vector) const { return neighboursFrom(batch_, vector); }
  /** Whether the lines of a vector lie beside each other. */
  bool contiguous() const { return batch_.line_offsets == nullptr && batch_.line_stride == 1; }
  /** As the kernels' survey(), of n <= max_neighbours vectors from this one on. */
  void survey(int vector, int n, float *abs_max, float *sums);

  int nLines() const { return n_lines_; }

private:
  void gather(int vector, int end);

  const VectorBatch &batch_;
  int n_lines_;
  int first_ = 0;
  int last_ = 0;
  std::vector<float> buffer_;
  std::vector<float> columns_;
};

/** Appends to `lines` what fires in one slot; returns the number. `next`: see fire() in kernels.h. */
int fireInto(
    Lines &lines, const float *v, int n, float p, uint64_t key, const float *next = nullptr);

/** Draws the lines of vectors [begin, end). Where those of x lie side by side, as the patches of a
 * convolution do, and those of d likewise or as rows, most are only looked over, never gathered. */
void drawBlock(
    Block &block,
    RowReader &x_rows,
    RowReader &d_rows,
    int begin,
    int end,
    const UpdateRule &rule,
    const TrainRule &scales);

} // namespace warmtile
