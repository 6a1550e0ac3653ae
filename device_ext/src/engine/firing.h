// How the lines of a slot are drawn.
//
// Lines come in blocks. Where a block expects few to fire, one number decides whether it is looked
// at: with T the sum of its probabilities and u uniform, there is a candidate where u < T, and it
// is line i with probability p_i. The candidate fires where none of the lines before it does, by
// their own draws; the lines after it fire by theirs. So line i is the first to fire with
// probability p_i prod_{k<i} (1 - p_k), and what comes after it does not depend on it: exactly the
// law of independent lines, for one draw a block.
#pragma once

#include "keys.h"

namespace warmtile {

constexpr int lines_per_block = 16;
/** Expected lines of a block (T) up to which that pays; beyond, every line is drawn. T <= 1 also
 * means that no probability has to be cut at 1. */
constexpr float sparse_block = 0.5f;
/** A side with fewer lines is drawn line by line: a block's draw would come on top of theirs. */
constexpr int fewest_lines = 4;
/** Position of the blocks' own draws in a stream, behind those of the lines. */
constexpr uint32_t block_stream = 0x80000000u;

/** 24 random bits against the probability on the same scale: an exact comparison. */
constexpr float two_to_24 = 16777216.0f;
/** The same for the 31 bits of a block, whose probability may be small. */
constexpr float two_to_31 = 2147483648.0f;

namespace {

/** A block's own draw, 0 to 2**31. */
WARMTILE_HD float blockDraw(Key32 key, uint32_t block) {
  return (float)(int32_t)(draw(key, block_stream + block) >> 1);
}

/** Whether a block of `expected` lines (times 2**31) can stay closed: no line of it fires. */
WARMTILE_HD bool blockIsSilent(float expected, Key32 key, uint32_t block) {
  return expected <= sparse_block * two_to_31 && !(blockDraw(key, block) < expected);
}

/** The sum of a block's absolute values, from those of its lines k and k + 8. The order of the
 * additions is fixed, so that every kernel finds the same. */
template <typename F> WARMTILE_HD F blockSum(const F (&s)[8]) {
  return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
}

/** Which lines of a block fire, as bits: `behind` are those that are not zero and whose running sum
 * exceeds the block's draw, the first of them the candidate; `fired` by their own draws. */
WARMTILE_HD uint32_t thinned(uint32_t behind, uint32_t fired) {
  const uint32_t candidate = behind & (0u - behind);
  if (candidate == 0 || (fired & (candidate - 1)) != 0) {
    return 0;
  }
  return candidate | (fired & ~(2 * candidate - 1));
}

} // namespace
} // namespace warmtile
