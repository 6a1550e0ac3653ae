// Reads the vectors of a batch, wherever its strides lead.
#pragma once

#include <cstdint>

#include "engine/engine.h"

namespace warmtile {

/** Where line 0 of a vector lies, in elements from the batch's data. */
inline int64_t vectorOffset(const VectorBatch &batch, int vector) {
  const int32_t block = vector / batch.n_inner;
  return (block / batch.n_middle) * batch.outer_stride +
         (block % batch.n_middle) * batch.middle_stride +
         (vector % batch.n_inner) * batch.inner_stride;
}

/** Vectors from this one on that the same inner stride connects. */
inline int neighboursFrom(const VectorBatch &batch, int vector) {
  return batch.n_inner - vector % batch.n_inner;
}

/** Writes vectors [first, first + n) as rows, `row_stride` (>= n_lines) elements apart. */
void copyVectors(
    const VectorBatch &batch, int first, int n, int n_lines, float *rows, int64_t row_stride);

/** Writes line j of vector first + v at columns[j * column_stride + v], 0 <= v < n. */
void copyColumns(
    const VectorBatch &batch, int first, int n, int n_lines, float *columns, int64_t column_stride);

/** columns[j * column_stride + v] = rows[v * row_stride + j], 0 <= v < n, 0 <= j < n_lines. */
void transposeRows(
    const float *rows, int64_t row_stride, int n, int n_lines, float *columns, int64_t column_stride);

} // namespace warmtile
