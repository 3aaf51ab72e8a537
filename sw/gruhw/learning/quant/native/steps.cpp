// The lines in capitals are replaced by what the graph says.

// SIZES

// One network: its types, tables, weights (one matrix after the other), biases, and what its states
// begin with, [STATES][UNITS], if that is not zero.
struct Network {
// MEMBERS
  const float *weights, *transposed, *biases, *initial;
};

// What lives from step to step, [KEPT][UNITS]: the states, and the result that is emitted, unless
// that is a state's. A sequence that has ended keeps it.

// The exact sums of all linear operators.
static void linear(Vector *sums, const Vector *x, const Vector *before, const Network &m) {
  for (int row = 0; row < LINEARS * UNITS; ++row) sums[row] = all(m.biases[row]);
// PRODUCTS
}

static Codes alive_in(const int32_t *lengths, int step) {
  Codes alive;
  std::memcpy(&alive, lengths, sizeof alive);
  return alive > step;
}

// A block of sequences. "kept" is before the first step and after each, or else only the last two
// of these. What is before the first step is there already where it was "carried" on. The tape keeps
// the exact sums of every step for the way back; without one they are forgotten.
static void forward_block(int steps, bool every, bool carried, const Vector *x, long stride,
                          const int32_t *lengths, const Network &m, Vector *tape, Vector *kept) {
  Vector forgotten[LINEARS * UNITS];
  for (int row = 0; row < KEPT * UNITS && !carried; ++row)
    kept[row] = m.initial && row < STATES * UNITS ? all(m.initial[row]) : Vector{};
  for (int step = 0; step < steps; ++step) {
    const Codes alive = alive_in(lengths, step);
    Vector *sums = tape ? tape + step * LINEARS * UNITS : forgotten;
    const Vector *before = kept + (every ? step : step % 2) * KEPT * UNITS;
    Vector *after = kept + (every ? step + 1 : (step + 1) % 2) * KEPT * UNITS;
    linear(sums, x + step * stride, before, m);
    for (int unit = 0; unit < UNITS; ++unit) {
// FORWARD
// RESULTS
    }
  }
}

// Replaces the sums on the tape by their gradients, and adds up the gradients of weights, biases
// and initial states. "given" is the gradient of what was emitted: [steps][UNITS], or [UNITS] of
// the last alone. That of the input, [steps][INPUTS], is computed where there is a place for it.
static void backward_block(int steps, bool every, const Vector *x, long stride,
                           const int32_t *lengths, const Network &m, Vector *tape,
                           const Vector *kept, const Vector *given, float *weight_gradient,
                           float *bias_gradient, float *initial_gradient, Vector *x_gradient) {
  Vector after[KEPT * UNITS] = {}, through[KEPT * UNITS];
  if (!every) std::memcpy(after + EMITTED * UNITS, given, UNITS * sizeof *given);
  for (int step = steps - 1; step >= 0; --step) {
    const Codes alive = alive_in(lengths, step);
    Vector *sums = tape + step * LINEARS * UNITS;
    const Vector *before = kept + step * KEPT * UNITS;
    if (every)
      for (int unit = 0; unit < UNITS; ++unit)
        after[EMITTED * UNITS + unit] += given[step * UNITS + unit];
    for (int unit = 0; unit < UNITS; ++unit) {
// FORWARD
// GRADIENTS
// BACKWARD
// STATE_GRADIENTS
    }
// TRANSPOSED
    if (x_gradient) {
      Vector *to = x_gradient + step * INPUTS;
      for (int row = 0; row < INPUTS; ++row) to[row] = Vector{};
// INPUT_GRADIENT
    }
    for (int row = 0; row < KEPT * UNITS; ++row)
      after[row] = through[row] + (alive ? Vector{} : after[row]);
  }
  if (initial_gradient)
    for (int row = 0; row < STATES * UNITS; ++row) initial_gradient[row] += sum_of(after[row]);
// OUTER
  for (int row = 0; row < LINEARS * UNITS; ++row) {
    Vector sum{};
    for (int step = 0; step < steps; ++step) sum += tape[step * LINEARS * UNITS + row];
    bias_gradient[row] += sum_of(sum);
  }
}

extern "C" int lanes() { return LANES; }

// Arrays of all members, of all blocks of LANES sequences: x [members][blocks][steps][INPUTS], whose
// first three dimensions have these strides; tape [..][..][steps][LINEARS][UNITS] or none; kept
// [..][..][steps + 1][KEPT][UNITS] if there is one for "every" step, and otherwise
// [..][..][2][KEPT][UNITS].
extern "C" void forward(int members, int blocks, int steps, int every, int carried,
                        const Vector *x, const int64_t *strides, const int32_t *lengths,
                        const Network *networks,
                        Vector *tape, Vector *kept) {
  const int places = every ? steps + 1 : 2;
#pragma omp parallel for collapse(2)
  for (int member = 0; member < members; ++member)
    for (int block = 0; block < blocks; ++block) {
      const long place = static_cast<long>(member) * blocks + block;
      forward_block(steps, every, carried, x + member * strides[0] + block * strides[1],
                    strides[2], lengths + block * LANES, networks[member],
                    tape ? tape + place * steps * LINEARS * UNITS : nullptr,
                    kept + place * places * KEPT * UNITS);
    }
}

// given [members][blocks][steps][UNITS] if "every" step was emitted, and otherwise
// [members][blocks][UNITS]; x_gradient [members][blocks][steps][INPUTS] or none. Gradients of
// parameters: [members][WEIGHTS], [members][LINEARS][UNITS], [members][STATES][UNITS] or none.
extern "C" void backward(int members, int blocks, int steps, int every, const Vector *x,
                         const int64_t *strides, const int32_t *lengths, const Network *networks,
                         Vector *tape, const Vector *kept, const Vector *given,
                         float *weight_gradient, float *bias_gradient, float *initial_gradient,
                         Vector *x_gradient) {
  // Threads share out members, not blocks, so that sums have the same order for any number.
#pragma omp parallel for
  for (int member = 0; member < members; ++member)
    for (int block = 0; block < blocks; ++block) {
      const long place = static_cast<long>(member) * blocks + block;
      backward_block(
          steps, every, x + member * strides[0] + block * strides[1], strides[2],
          lengths + block * LANES, networks[member], tape + place * steps * LINEARS * UNITS,
          kept + place * (steps + 1) * KEPT * UNITS,
          given + place * (every ? steps : 1) * UNITS,
          weight_gradient + member * static_cast<long>(WEIGHTS),
          bias_gradient + member * LINEARS * UNITS,
          initial_gradient ? initial_gradient + member * STATES * UNITS : nullptr,
          x_gradient ? x_gradient + place * steps * INPUTS : nullptr);
    }
}
