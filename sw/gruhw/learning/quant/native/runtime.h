// What the generated time step of a stage stands on: vectors of sequences, rounding, functions, and
// small matrix products. A vector holds one value for each of LANES sequences.

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

static inline Vector all(float value) {
  return Vector{} + value;
}

static inline Vector floor_of(Vector value) {
  const Vector truncated = __builtin_convertvector(__builtin_convertvector(value, Codes), Vector);
  return truncated > value ? truncated - 1.0f : truncated;
}

// How an operator's exact result becomes its result. Each kind has these functions:
//
//   result_of(exact, kind)              the result
//   gradient_of(gradient, exact, kind)  that of the exact result, from that of the result
//
// Of functions there are two more:
//
//   operand_of(operand, kind)           what stands for the exact result
//   slope_of(exact, kind)               the slope at the operand

// A fixed-point type's scale 2**frac, its unit 2**-frac, and its smallest and largest code.
struct Grid {
  float scale, unit, low, high;
};

// Round half up and saturate.
static inline Vector result_of(Vector exact, const Grid &grid) {
  Vector scaled = exact * grid.scale + 0.5f;
  // First so that it fits an integer; rounding never leaves the limits again.
  scaled = scaled < grid.low ? all(grid.low) : scaled;
  scaled = scaled > grid.high ? all(grid.high) : scaled;
  return floor_of(scaled) * grid.unit;
}

// None where it saturated.
static inline Vector gradient_of(Vector gradient, Vector exact, const Grid &grid) {
  const Vector scaled = exact * grid.scale + 0.5f;
  const Vector kept = scaled >= grid.low ? gradient : Vector{};
  return scaled < grid.high + 1.0f ? kept : Vector{};
}

// A table's values and the slopes of its function; "exact" is the operand's code as an index.
struct Lookup {
  const float *values, *slopes;
  float scale, offset;
};

static inline Codes operand_of(Vector operand, const Lookup &table) {
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

static inline Vector result_of(Codes index, const Lookup &table) {
  return look_up(table.values, index);
}

static inline Vector gradient_of(Vector gradient, Codes, const Lookup &) {
  return gradient;
}

static inline Vector slope_of(Codes index, const Lookup &table) {
  return look_up(table.slopes, index);
}

// A real result, not rounded.
struct Real {};

static inline Vector result_of(Vector exact, Real) {
  return exact;
}

static inline Vector gradient_of(Vector gradient, Vector, Real) {
  return gradient;
}

// A real result between limits.
struct Limits {
  float low, high;
};

static inline Vector result_of(Vector exact, Limits limits) {
  exact = exact < limits.low ? all(limits.low) : exact;
  return exact > limits.high ? all(limits.high) : exact;
}

static inline Vector gradient_of(Vector gradient, Vector exact, Limits limits) {
  const Vector kept = exact >= limits.low ? gradient : Vector{};
  return exact <= limits.high ? kept : Vector{};
}

// exp(value) of values up to 0 as power * (1 + part), where power is one of 2.
struct Exponential {
  Vector power, part;
};

static inline Exponential exponential(Vector value) {
  value = value < -87.0f ? all(-87.0f) : value;
  const Vector exponent = floor_of(value * 1.44269504f + 0.5f);
  // The logarithm of 2 in two parts, of which the first has few digits: the product is exact.
  const Vector rest = (value - exponent * 0.693359375f) + exponent * 2.12194440e-4f;
  // Taylor's series: for half the logarithm of 2, its next term is a tenth of a rounding error.
  Vector sum = rest * (1.0f / 5040) + 1.0f / 720;
  sum = sum * rest + 1.0f / 120;
  sum = sum * rest + 1.0f / 24;
  sum = sum * rest + 1.0f / 6;
  sum = sum * rest + 1.0f / 2;
  const Codes bits = (__builtin_convertvector(exponent, Codes) + 127) << 23;
  return {(Vector)bits, sum * rest * rest + rest};
}

// A function without rounding, whose "exact" value is the result itself.
struct Function {};

static inline Vector result_of(Vector result, Function) {
  return result;
}

static inline Vector gradient_of(Vector gradient, Vector, Function) {
  return gradient;
}

struct Sigmoid : Function {};

static inline Vector operand_of(Vector operand, Sigmoid) {
  const Exponential small = exponential(operand < 0.0f ? operand : -operand);
  const Vector found = small.power * small.part + small.power;
  return (operand < 0.0f ? found : all(1.0f)) / (found + 1.0f);
}

static inline Vector slope_of(Vector result, Sigmoid) {
  return result * (1.0f - result);
}

struct Tanh : Function {};

static inline Vector operand_of(Vector operand, Tanh) {
  const Exponential small = exponential(operand < 0.0f ? 2.0f * operand : -2.0f * operand);
  // exp(-2 |x|) - 1, which is not 0 where x is small.
  const Vector less = small.power * small.part + (small.power - 1.0f);
  const Vector magnitude = less / (less + 2.0f);
  return operand < 0.0f ? magnitude : -magnitude;
}

static inline Vector slope_of(Vector result, Tanh) {
  return 1.0f - result * result;
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
static inline void add_outer(float *matrix, const Vector *gradient, long gradient_stride,
                             const Vector *operand, long operand_stride, int steps) {
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
