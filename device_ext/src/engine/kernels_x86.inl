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

/** Up to eight blocks, `v` padded with zeros to all of them; `begin` is the first line. */
inline int fireBlocks(
    const float *v, int n_blocks, int begin, float scale, float block_scale, Key32 key,
    int32_t *out) {
  constexpr int blocks = 8;
  __m256 r[blocks];
  for (int b = 0; b < blocks; b++) {
    r[b] = b < n_blocks ? _mm256_add_ps(abs8(_mm256_loadu_ps(v + lines_per_block * b)),
                                        abs8(_mm256_loadu_ps(v + lines_per_block * b + 8)))
                        : _mm256_setzero_ps();
  }
  const __m256 q0 = _mm256_hadd_ps(_mm256_hadd_ps(r[0], r[1]), _mm256_hadd_ps(r[2], r[3]));
  const __m256 q1 = _mm256_hadd_ps(_mm256_hadd_ps(r[4], r[5]), _mm256_hadd_ps(r[6], r[7]));
  const __m256 sums = _mm256_add_ps(
      _mm256_permute2f128_ps(q0, q1, 0x20), _mm256_permute2f128_ps(q0, q1, 0x31));
  const __m256 expected = _mm256_mul_ps(sums, _mm256_set1_ps(block_scale));
  const __m256i index = _mm256_add_epi32(
      _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0),
      _mm256_set1_epi32((int)(block_stream + (uint32_t)(begin / lines_per_block))));
  const __m256 drawn = _mm256_cvtepi32_ps(_mm256_srli_epi32(draw8(key, index), 1));
  const __m256 sparse =
      _mm256_cmp_ps(expected, _mm256_set1_ps(sparse_block * two_to_31), _CMP_LE_OQ);
  const auto is_sparse = (uint32_t)_mm256_movemask_ps(sparse);
  const auto candidates =
      (uint32_t)_mm256_movemask_ps(_mm256_cmp_ps(drawn, expected, _CMP_LT_OQ));
  uint32_t open = (candidates | ~is_sparse) & ((1u << n_blocks) - 1);
  if (open == 0) {
    return 0;
  }
  float draws[blocks];
  _mm256_storeu_ps(draws, drawn);
  int count = 0;
  for (; open != 0; open &= open - 1) {
    const int b = __builtin_ctz(open);
    const float *block = v + lines_per_block * b;
    const __m256 low = abs8(_mm256_loadu_ps(block));
    const __m256 high = abs8(_mm256_loadu_ps(block + 8));
    const int first = begin + lines_per_block * b;
    uint32_t fired = linesThatFire(low, high, scale, key, first);
    if ((is_sparse >> b & 1) != 0) {
      fired = thinned(behindDraw(low, high, block_scale, draws[b]), fired);
    }
    for (; fired != 0; fired &= fired - 1) {
      const int k = __builtin_ctz(fired);
      out[count++] = block[k] < 0.0f ? -(first + k + 1) : first + k + 1;
    }
  }
  return count;
}

int fire(const float *v, int n, float p, Key32 key, int32_t *out) {
  if (n < fewest_lines) {
    return fireLines(v, n, p, key, out);
  }
  constexpr int lines = 8 * lines_per_block;
  const float scale = p * two_to_24;
  const float block_scale = p * two_to_31;
  int count = 0;
  int j = 0;
  for (; j + lines <= n; j += lines) {
    count += fireBlocks(v + j, 8, j, scale, block_scale, key, out + count);
  }
  const int n_blocks = (n - j + lines_per_block - 1) / lines_per_block;
  if (j + n_blocks * lines_per_block == n) {
    if (n_blocks > 0) {
      count += fireBlocks(v + j, n_blocks, j, scale, block_scale, key, out + count);
    }
  } else {
    float padded[lines];
    std::memset(padded + (n_blocks - 1) * lines_per_block, 0, lines_per_block * sizeof(float));
    std::memcpy(padded, v + j, (size_t)(n - j) * sizeof(float));
    count += fireBlocks(padded, n_blocks, j, scale, block_scale, key, out + count);
  }
  return count;
}
