// fire() with 256-bit vectors; included by the x86 kernels behind kernels_common.inl and their
// linesThatFire(), inside their unnamed namespace.

inline __m256i draw8(Key32 key, __m256i index) {
  __m256i h = _mm256_add_epi32(index, _mm256_set1_epi32((int)key.a));
  h = _mm256_xor_si256(h, _mm256_srli_epi32(h, 17));
  h = _mm256_mullo_epi32(h, _mm256_set1_epi32((int)0xed5ad4bbu));
  h = _mm256_xor_si256(h, _mm256_set1_epi32((int)key.b));
  h = _mm256_xor_si256(h, _mm256_srli_epi32(h, 11));
  h = _mm256_mullo_epi32(h, _mm256_set1_epi32((int)0xac4c1b51u));
  h = _mm256_xor_si256(h, _mm256_srli_epi32(h, 15));
  h = _mm256_mullo_epi32(h, _mm256_set1_epi32((int)0x31848babu));
  return _mm256_xor_si256(h, _mm256_srli_epi32(h, 14));
}

inline __m256 abs8(__m256 v) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), v); }

/** The lines of a block by their own draws, as bits. */
uint32_t linesThatFire(__m256 low, __m256 high, float scale, Key32 key, int begin);

/** Running sums of four lines. */
inline __m128 sums4(__m128 a) {
  const __m128 pairs = _mm_add_ps(a, _mm_castsi128_ps(_mm_slli_si128(_mm_castps_si128(a), 4)));
  return _mm_add_ps(pairs, _mm_castsi128_ps(_mm_slli_si128(_mm_castps_si128(pairs), 8)));
}

inline __m128 last(__m128 a) { return _mm_shuffle_ps(a, a, 0xff); }

/** Bits of the lines that are not zero and whose running sum exceeds the block's draw. */
inline uint32_t behindDraw(__m256 low, __m256 high, float scale, float drawn) {
  const __m128 q0 = sums4(_mm256_castps256_ps128(low));
  const __m128 q1 = _mm_add_ps(sums4(_mm256_extractf128_ps(low, 1)), last(q0));
  const __m128 q2 = _mm_add_ps(sums4(_mm256_castps256_ps128(high)), last(q1));
  const __m128 q3 = _mm_add_ps(sums4(_mm256_extractf128_ps(high, 1)), last(q2));
  const __m256 s = _mm256_set1_ps(scale);
  const __m256 u = _mm256_set1_ps(drawn);
  const __m256 zero = _mm256_setzero_ps();
  const auto bits = [&](__m256 sums, __m256 values) {
    return (uint32_t)_mm256_movemask_ps(_mm256_and_ps(
        _mm256_cmp_ps(u, _mm256_mul_ps(sums, s), _CMP_LT_OQ),
        _mm256_cmp_ps(values, zero, _CMP_GT_OQ)));
  };
  return bits(_mm256_set_m128(q1, q0), low) | bits(_mm256_set_m128(q3, q2), high) << 8;
}

/** What one word holds: blocks that are drawn together. */
constexpr int blocks_at_once = 64;

/** Blocks as bits: those to be looked at, and those of which the block's draw chooses a line. */
struct OpenBlocks {
  uint64_t open, sparse;
};

/** Sums and draws of n <= 8 blocks from `block` on, whose absolute values lie at at(b). */
template <typename At>
inline OpenBlocks openBlocks(At at, int n, int block, float block_scale, Key32 key, float *draws) {
  __m256 r[8];
#pragma GCC unroll 8
  for (int b = 0; b < 8; b++) {
    r[b] = b < n ? _mm256_add_ps(abs8(_mm256_loadu_ps(at(b))), abs8(_mm256_loadu_ps(at(b) + 8)))
                 : _mm256_setzero_ps();
  }
  const __m256 q0 = _mm256_hadd_ps(_mm256_hadd_ps(r[0], r[1]), _mm256_hadd_ps(r[2], r[3]));
  const __m256 q1 = _mm256_hadd_ps(_mm256_hadd_ps(r[4], r[5]), _mm256_hadd_ps(r[6], r[7]));
  const __m256 sums = _mm256_add_ps(
      _mm256_permute2f128_ps(q0, q1, 0x20), _mm256_permute2f128_ps(q0, q1, 0x31));
  const __m256 expected = _mm256_mul_ps(sums, _mm256_set1_ps(block_scale));
  const __m256i index = _mm256_add_epi32(
      _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0),
      _mm256_set1_epi32((int)(block_stream + (uint32_t)block)));
  const __m256 drawn = _mm256_cvtepi32_ps(_mm256_srli_epi32(draw8(key, index), 1));
  _mm256_storeu_ps(draws, drawn);
  const auto sparse = (uint32_t)_mm256_movemask_ps(
      _mm256_cmp_ps(expected, _mm256_set1_ps(sparse_block * two_to_31), _CMP_LE_OQ));
  const auto candidates = (uint32_t)_mm256_movemask_ps(_mm256_cmp_ps(drawn, expected, _CMP_LT_OQ));
  return {(candidates | ~sparse) & ((1u << n) - 1), sparse};
}

int fire(const float *v, int n, float p, Key32 key, int32_t *out, const float *next) {
  if (n < fewest_lines) {
    return fireLines(v, n, p, key, out);
  }
  const float scale = p * two_to_24;
  const float block_scale = p * two_to_31;
  const int whole = n / lines_per_block;
  const int n_blocks = (n + lines_per_block - 1) / lines_per_block;
  float padded[lines_per_block]; // the last block, where it is not whole
  if (whole < n_blocks) {
    std::memset(padded, 0, sizeof padded);
    std::memcpy(padded, v + whole * lines_per_block, (n - whole * lines_per_block) * sizeof(float));
  }
  const auto at = [&](int block) { return block < whole ? v + block * lines_per_block : padded; };
  int count = 0;
  for (int begin = 0; begin < n_blocks; begin += blocks_at_once) {
    const int end = begin + blocks_at_once < n_blocks ? begin + blocks_at_once : n_blocks;
    float draws[blocks_at_once];
    uint64_t open = 0;
    uint64_t sparse = 0;
    const auto take = [&](int block, const OpenBlocks &found) {
      open |= found.open << (block - begin);
      sparse |= found.sparse << (block - begin);
    };
    int block = begin;
    for (; block + 8 <= (end < whole ? end : whole); block += 8) {
      const float *first = v + block * lines_per_block;
      if (next != nullptr) {
        for (int b = 0; b < 8; b++) {
          __builtin_prefetch(next + (block + b) * lines_per_block, 0, 2);
        }
      }
      take(block, openBlocks([first](int b) { return first + b * lines_per_block; }, 8, block,
                             block_scale, key, draws + (block - begin)));
    }
    if (block < end) {
      take(block, openBlocks([&](int b) { return at(block + b); }, end - block, block,
                             block_scale, key, draws + (block - begin)));
    }
    for (; open != 0; open &= open - 1) {
      const int b = __builtin_ctzll(open);
      const float *lines = at(begin + b);
      const __m256 low = abs8(_mm256_loadu_ps(lines));
      const __m256 high = abs8(_mm256_loadu_ps(lines + 8));
      const int first = (begin + b) * lines_per_block;
      uint32_t fired = linesThatFire(low, high, scale, key, first);
      if ((sparse >> b & 1) != 0) {
        fired = thinned(behindDraw(low, high, block_scale, draws[b]), fired);
      }
      // The first without a branch: most often there is one.
      const auto put = [&](int k) {
        int32_t bits;
        std::memcpy(&bits, lines + k, sizeof bits);
        const int32_t negative = bits >> 31;
        out[count] = ((first + k + 1) ^ negative) - negative;
      };
      put(__builtin_ctz(fired | 1u << 15));
      count += fired != 0 ? 1 : 0;
      for (fired &= fired - 1; fired != 0; fired &= fired - 1) {
        put(__builtin_ctz(fired));
        count++;
      }
    }
  }
  return count;
}
