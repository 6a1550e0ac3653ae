// The inner loops of the pulse engine, as a table of functions: compiled once for each instruction
// set and chosen when the module runs. All of them give the same bits.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/firing.h"
#include "keys.h"

namespace warmtile {

/** How a device answers a pulse; names as in aihwkit. */
enum class StepRule {
  ConstantStep,
  LinearStepMult, ///< soft bounds are a linear step whose slope ends at the bounds
  LinearStepAdd,
  SoftBoundsReferenceMult,
  SoftBoundsReferenceAdd,
  ExpStep,
  ExpStepComplexNoise,
  PowStep,
  PowStepReference,
};

/** Parameters of an exponential step, as in aihwkit's ExpStepDevice. */
struct ExpStepParameters {
  float A_up, A_down;
  float gamma_up, gamma_down;
  float a, b;
  float std_add, std_slope; ///< of the complex noise
};

/** One row of a device, or one column with a stride; every array is indexed by cross-point. */
struct DeviceLine {
  StepRule rule;
  float *w;          ///< weight that pulses move (the persistent one where there is write noise)
  float *w_apparent; ///< weight that a read sees; the same array as w without write noise
  const float *scale_up;
  const float *scale_down;
  const float *slope_up;   ///< of a linear step; the exponent of a power step
  const float *slope_down; ///< likewise
  const float *reference;
  const float *min_bound;
  const float *max_bound;
  ExpStepParameters exp_step;
  float dw_min_std;      ///< cycle-to-cycle noise, relative to the step
  float write_noise_std; ///< noise of the apparent weight, absolute; 0 = none
  // The reduced weight: total[j] = rest[j] + gamma * w_apparent[j]; total is null where the device
  // is the weight itself.
  float *total;
  const float *rest;
  float gamma;
};

/** What the lengths and rates of an update's trains follow from; see TrainRule. */
struct TrainLimits {
  bool length_managed; ///< aihwkit's update_bl_management
  bool rates_managed;  ///< update_management
  float lr;            ///< absolute
  float granularity;
  float grad_scale;
  int longest;
  int length; ///< without management, and the rates A of d and B of x
  float A, B;
  const float *rate_by_length; ///< at [BL - 1], with management of the length
};

/** Entries behind the last line that fire() may write to, and pulse() may read. */
constexpr int fire_slack = 16;

/** Vectors that survey() takes at most. */
constexpr int max_neighbours = 64;

/** One slot's pulses on a line of devices. */
struct SlotPulses {
  const int32_t *lines; ///< cross-points as fire() writes them, distinct; see noise_slack
  int n;
  int direction;   ///< a positive line times this lowers the weight, as in SGD with lr > 0
  Key32 noise_key; ///< noise of cross-point j comes from position j of this key's stream
  Key32 write_key; ///< the same for write noise
};

/** Memory to be asked for ahead of its use, a stretch at a time; of several arrays alike. */
struct AskedAhead {
  const float *arrays[10];
  int n_arrays;
  int64_t at, stride, end; ///< entries of each; nothing is left where at is end
};

/** Entries behind the last of a slot's lines that pulse() may read. */
constexpr int noise_slack = 8;
/** Entries of pulse()'s scratch for slots of n lines in all. */
constexpr int noiseRoom(int n) { return 2 * (n + 16); }

struct Kernels {
  const char *name;

  /** max |v[j]|, 0 <= j < n. */
  float (*absMax)(const float *v, int n);

  /**
   * The same for n neighbouring vectors at a time, whose lines lie side by side: line j of vector v
   * at offsets[j] + v, or j * stride + v without offsets. Where `sums` is given it gets the sums of
   * the absolute values of block b's lines at [b * max_neighbours + v], as fire() adds them.
   */
  void (*survey)(
      const float *lines,
      const int64_t *offsets,
      int64_t stride,
      int n_lines,
      int n,
      float *abs_max,
      float *sums);

  /** Lengths BL and rates A of d, B of x of n vectors' trains, from their largest entries. */
  void (*trainScales)(
      const TrainLimits &limits,
      int n,
      const float *x_abs_max,
      const float *d_abs_max,
      int *BL,
      float *A,
      float *B);

  /**
   * Of n <= max_neighbours vectors, as bits, those of which a block of lines may fire: not silent
   * (see blockIsSilent()) in one of the vector's slots.
   *
   * @param sums, n_blocks as survey() leaves them.
   * @param key key of the update; vector v has the child `first + v`, its slot the child
   *     2 * slot + 1.
   * @param lengths slots of each vector; can be read up to the next multiple of 8.
   * @param rates of each vector, as `p` of fire(); likewise.
   */
  uint64_t (*mayFire)(
      const float *sums,
      int n_blocks,
      int n,
      uint64_t key,
      uint64_t first,
      const int *lengths,
      const float *rates);

  /**
   * Draws one slot of one vector's lines: line j fires with probability min(1, |v[j]| * p).
   * Writes j + 1, negative where v[j] is, for each line that fires; returns their number. `out`
   * has room for n + fire_slack entries; those behind the returned number are left undefined.
   * Meanwhile the n lines at `next` are asked for, where it is not null.
   */
  int (*fire)(const float *v, int n, float p, Key32 key, int32_t *out, const float *next);

  /**
   * row[j] += scales[k] * x[x_stride * vectors[k] + j] for k = 0, 1, ..., n - 1, in this order, for
   * 0 <= j < n_lines. x can be read up to the next multiple of 8 lines.
   */
  void (*addProducts)(
      float *row,
      const float *x,
      int x_stride,
      const int32_t *vectors,
      const float *scales,
      int n,
      int n_lines);

  /** Turns n words of random bits into standard normal numbers, in place; see normal.h. `values`
   * has room for the next multiple of 16. */
  void (*normals)(int n, float *values);

  /** Pulses of several slots, one after the other, on a line of devices; before each a stretch of
   * `ahead` is asked for. noiseRoom() says how large `scratch` is. */
  void (*pulse)(
      const DeviceLine &device,
      const SlotPulses *slots,
      int n_slots,
      AskedAhead &ahead,
      float *scratch);
};

extern const Kernels kernels_portable;
#if defined(__x86_64__)
extern const Kernels kernels_avx2;
extern const Kernels kernels_avx512;
#endif

/** The kernels in use: the best that this CPU runs, or those chosen by useKernels(). */
const Kernels &kernels();
/** Chooses "portable", "avx2", "avx512" or "auto"; false where the CPU or the build lacks it. */
bool useKernels(const char *name);

} // namespace warmtile
