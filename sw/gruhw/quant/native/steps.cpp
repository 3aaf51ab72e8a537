
// The lines in capitals are replaced by what the graph says.

// SIZES

// One network: its types, tables, weights (one matrix after the other) and biases.
struct Network {
// MEMBERS
  const float *weights, *transposed, *biases;
};

// The exact sums of all linear operators.
static void linear(Vector *sums, const Vector *x, const Vector *before, const Network &m) {
  for (int row = 0; row < LINEARS * HIDDEN; ++row) sums[row] = all(m.biases[row]);
// PRODUCTS
}

static Codes alive_in(const int32_t *lengths, int step) {
  Codes alive;
  std::memcpy(&alive, lengths, sizeof alive);
  return alive > step;
}

// The states of a block of sequences: before the first step, and after each. The tape keeps the
// exact sums of every step for the way back; without one they are forgotten.
static void forward_block(int steps, const Vector *x, const int32_t *lengths, const Network &m,
                          Vector *tape, Vector *states) {
  Vector forgotten[LINEARS * HIDDEN];
  for (int step = 0; step < steps; ++step) {
    const Codes alive = alive_in(lengths, step);
    Vector *sums = tape ? tape + step * LINEARS * HIDDEN : forgotten;
    const Vector *before = tape ? states + step * HIDDEN : states + (step % 2) * HIDDEN;
    Vector *after = tape ? states + (step + 1) * HIDDEN : states + ((step + 1) % 2) * HIDDEN;
    linear(sums, x + step * INPUTS, before, m);
    for (int unit = 0; unit < HIDDEN; ++unit) {
// FORWARD
// RESULT
      after[unit] = alive ? following : before[unit];
    }
  }
}

// Replaces the sums on the tape by their gradients, from those of the last states, and adds up
// the gradients of weights and biases.
static void backward_block(int steps, const Vector *x, const int32_t *lengths, const Network &m,
                           Vector *tape, const Vector *states, const Vector *last,
                           float *weight_gradient, float *bias_gradient) {
  Vector after[HIDDEN], through[HIDDEN];
  std::memcpy(after, last, sizeof after);
  for (int step = steps - 1; step >= 0; --step) {
    const Codes alive = alive_in(lengths, step);
    Vector *sums = tape + step * LINEARS * HIDDEN;
    const Vector *before = states + step * HIDDEN;
    for (int unit = 0; unit < HIDDEN; ++unit) {
// FORWARD
// GRADIENTS
// BACKWARD
// STATE_GRADIENT
    }
// TRANSPOSED
    for (int unit = 0; unit < HIDDEN; ++unit)
      after[unit] = through[unit] + (alive ? Vector{} : after[unit]);
  }
// OUTER
  for (int row = 0; row < LINEARS * HIDDEN; ++row) {
    Vector sum{};
    for (int step = 0; step < steps; ++step) sum += tape[step * LINEARS * HIDDEN + row];
    bias_gradient[row] += sum_of(sum);
  }
}

extern "C" int lanes() { return LANES; }

// Arrays of all members, of all blocks of LANES sequences: x [members][blocks][steps][INPUTS],
// tape [..][..][steps][LINEARS][HIDDEN] or none, states [..][..][steps + 1 or 2][HIDDEN].
extern "C" void forward(int members, int blocks, int steps, const Vector *x,
                        const int32_t *lengths, const Network *networks, Vector *tape,
                        Vector *states) {
  const int kept = tape ? steps + 1 : 2;
#pragma omp parallel for collapse(2)
  for (int member = 0; member < members; ++member)
    for (int block = 0; block < blocks; ++block) {
      const long place = static_cast<long>(member) * blocks + block;
      forward_block(steps, x + place * steps * INPUTS, lengths + block * LANES, networks[member],
                    tape ? tape + place * steps * LINEARS * HIDDEN : nullptr,
                    states + place * kept * HIDDEN);
    }
}

// last [members][blocks][HIDDEN]; gradients [members][WEIGHTS] and [members][LINEARS][HIDDEN].
extern "C" void backward(int members, int blocks, int steps, const Vector *x,
                         const int32_t *lengths, const Network *networks, Vector *tape,
                         const Vector *states, const Vector *last, float *weight_gradient,
                         float *bias_gradient) {
  // Threads share out members, not blocks, so that sums have the same order for any number.
#pragma omp parallel for
  for (int member = 0; member < members; ++member)
    for (int block = 0; block < blocks; ++block) {
      const long place = static_cast<long>(member) * blocks + block;
      backward_block(steps, x + place * steps * INPUTS, lengths + block * LANES, networks[member],
                     tape + place * steps * LINEARS * HIDDEN, states + place * (steps + 1) * HIDDEN,
                     last + place * HIDDEN, weight_gradient + member * static_cast<long>(WEIGHTS),
                     bias_gradient + member * LINEARS * HIDDEN);
    }
}
