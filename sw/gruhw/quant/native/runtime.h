// What the generated time step of a quantised network stands on: vectors of sequences, rounding,
// and small matrix products. A vector holds one value for each of LANES sequences.

#include <cstdint>
#include <cstring>
#ifdef __AVX512F__
#include <immintrin.h>
#endif

// Sequences that are computed side by side: as many as one register holds. Wider vectors are legal,
// but GCC keeps them in memory.
#if defined(__AVX512F__)
constexpr int LANES = 16;
#elif defined(__AVX__)
constexpr int LANES = 8;
#else
constexpr int LANES = 4;
#endif

typedef float Vector __attribute__((vector_size(4 * LANES)));
typedef int32_t Codes __attribute__((vector_size(4 * LANES)));

// Rows of a matrix product that are kept in registers.
constexpr int TILE = 8;

// A type's scale 2**frac, its unit 2**-frac, and its smallest and largest code.
struct Grid {
  float scale, unit, low, high;
};

// A table's values and the slopes of its function, for the operand's code as an index.
struct Lookup {
  const float *values, *slopes;
  float scale, offset;
};

static inline Vector all(float value) {
  return Vector{} + value;
}

static inline Vector floor_of(Vector value) {
  const Vector truncated = __builtin_convertvector(__builtin_convertvector(value, Codes), Vector);
  return truncated > value ? truncated - 1.0f : truncated;
}

// Round half up and saturate.
static inline Vector round_to(Vector exact, const Grid &grid) {
  Vector scaled = exact * grid.scale + 0.5f;
  // First so that it fits an integer; rounding never leaves the limits again.
  scaled = scaled < grid.low ? all(grid.low) : scaled;
  scaled = scaled > grid.high ? all(grid.high) : scaled;
  return floor_of(scaled) * grid.unit;
}

// The gradient of what was rounded: none where it saturated.
static inline Vector inside(Vector gradient, Vector exact, const Grid &grid) {
  const Vector scaled = exact * grid.scale + 0.5f;
  const Vector kept = scaled >= grid.low ? gradient : Vector{};
  return scaled < grid.high + 1.0f ? kept : Vector{};
}

static inline Codes index_of(Vector operand, const Lookup &table) {
  return __builtin_convertvector(operand * table.scale + table.offset, Codes);
}

static inline Vector look_up(const float *values, Codes index) {
#ifdef __AVX512F__
  return (Vector)_mm512_i32gather_ps((__m512i)index, values, 4);
#else
  Vector found;
  for (int lane = 0; lane < LANES; ++lane) found[lane] = values[index[lane]];
  return found;
#endif
}

// out[row] = start[row] + sum of matrix[row][term] * in[term]
template <int count, int terms>
static inline void tile(Vector *out, const float *matrix, const Vector *in) {
  Vector sum[count];
#pragma GCC unroll 8
  for (int row = 0; row < count; ++row) sum[row] = out[row];
  for (int term = 0; term < terms; ++term) {
    const Vector value = in[term];
#pragma GCC unroll 8
    for (int row = 0; row < count; ++row) sum[row] += matrix[row * terms + term] * value;
  }
#pragma GCC unroll 8
  for (int row = 0; row < count; ++row) out[row] = sum[row];
}

// Adds the product of a matrix [rows][terms] and a vector.
template <int rows, int terms>
static inline void add_product(Vector *out, const float *matrix, const Vector *in) {
  int row = 0;
  for (; row + TILE <= rows; row += TILE) tile<TILE, terms>(out + row, matrix + row * terms, in);
  for (; row < rows; ++row) tile<1, terms>(out + row, matrix + row * terms, in);
}

static inline float sum_of(Vector value) {
  float total = 0.0f;
  for (int lane = 0; lane < LANES; ++lane) total += value[lane];
  return total;
}

// Adds the outer products of gradients [steps][..rows] and operands [steps][..terms], over all
// steps and lanes, to the gradient of a matrix [rows][terms].
template <int rows, int terms>
static inline void add_outer(float *matrix, const Vector *gradient, int gradient_stride,
                             const Vector *operand, int operand_stride, int steps) {
  constexpr int across = 4;
  for (int row = 0; row < rows; row += across) {
    for (int term = 0; term < terms; term += across) {
      const int height = rows - row < across ? rows - row : across;
      const int width = terms - term < across ? terms - term : across;
      if (height == across && width == across) {
        Vector sum[across][across] = {};
        for (int step = 0; step < steps; ++step) {
          const Vector *left = gradient + step * gradient_stride + row;
          const Vector *right = operand + step * operand_stride + term;
#pragma GCC unroll 4
          for (int i = 0; i < across; ++i)
#pragma GCC unroll 4
            for (int j = 0; j < across; ++j) sum[i][j] += left[i] * right[j];
        }
        for (int i = 0; i < across; ++i)
          for (int j = 0; j < across; ++j)
            matrix[(row + i) * terms + term + j] += sum_of(sum[i][j]);
        continue;
      }
      for (int i = row; i < row + height; ++i)
        for (int j = term; j < term + width; ++j) {
          Vector sum{};
          for (int step = 0; step < steps; ++step)
            sum += gradient[step * gradient_stride + i] * operand[step * operand_stride + j];
          matrix[i * terms + j] += sum_of(sum);
        }
    }
  }
}
