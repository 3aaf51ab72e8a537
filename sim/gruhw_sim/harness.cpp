// Runs an accelerator and writes down what it gives, and when.
//
//     harness TOP CYCLES FIRST LAST STATES [WRITTEN STATE]... OPERATOR...
//
// TOP is the name of the top module. STATES is how many pairs follow it: a signal that is high
// when a state is written, and the operator whose result is written then. The datapath is their
// scope, and that of the OPERATORs; dots lead further down. All files stand in the current folder; all but the plan hold
// 64-bit words of the machine.
//
//     elements.bin  in   the input elements; bit 32 ends a sequence, bit 33 an episode: what
//                        follows is sent after the next reset
//     plan.bin      in   a byte for each cycle: bit 0 offers an element, bit 1 takes one, bit 2
//                        resets; both streams run freely after its end
//     outputs.bin   out  for each output element taken: cycle, data, last
//     states.bin    out  whenever a state is written: its number, cycle, result of its operator
//     window.bin    out  for each cycle from FIRST to LAST: the results of the OPERATORs
//     episodes.bin  out  for each episode: the cycle that accepted its first element, or all ones
//                        if none was, and the cycle of the reset, or end, after it
//     broken.bin    out  each cycle in which an output element was not what it was in the cycle
//                        before, in which it was offered and not taken
//     waveform      out  of the same cycles, if this program was compiled for that
//
// Cycle 0 accepts the first element. A cycle is read in its middle, where both streams have
// settled; the rising edge ends it. In the cycle of a reset, nothing else is read.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "Vgruhw.h"
#include "verilated.h"
#include "verilated_syms.h"
#ifdef WAVEFORM_HEADER
#include WAVEFORM_HEADER
#endif

namespace {

const int RESET_CYCLES = 2;
const int LATEST_START = 16;  // cycles after the reset
const uint64_t LAST = 1ull << 32;
const uint64_t END = 1ull << 33;
enum Signal : uint8_t { OFFER = 1, TAKE = 2, RESET = 4 };
const uint64_t NEVER = ~0ull;

[[noreturn]] void fail(const std::string& what) {
    std::fprintf(stderr, "error: %s\n", what.c_str());
    std::exit(1);
}

std::FILE* open(const char* name, const char* mode) {
    std::FILE* file = std::fopen(name, mode);
    if (!file) fail(std::string("cannot open ") + name);
    return file;
}

void write(std::FILE* file, const std::vector<uint64_t>& words) {
    if (std::fwrite(words.data(), sizeof(uint64_t), words.size(), file) != words.size())
        fail("cannot write");
}

void close(std::FILE* file) {
    if (std::fclose(file)) fail("cannot write");
}

// A signal inside the design, by its whole path.
class Probe {
public:
    Probe(const VerilatedContext& context, const std::string& path) {
        const size_t dot = path.rfind('.');
        const VerilatedScope* found = context.scopeFind(path.substr(0, dot).c_str());
        const VerilatedVar* signal = found ? found->varFind(path.c_str() + dot + 1) : nullptr;
        if (!signal) fail("no signal " + path);
        place_ = signal->datap();
        bytes_ = signal->entSize();
    }
    uint64_t read() const {
        uint64_t value = 0;
        std::memcpy(&value, place_, bytes_);
        return value;
    }

private:
    const void* place_;
    size_t bytes_;
};

// A state, and when it is written.
struct State {
    Probe written, result;
};

template <typename Word>
std::vector<Word> load(const char* name) {
    std::FILE* file = open(name, "rb");
    std::vector<Word> words;
    Word word;
    while (std::fread(&word, sizeof word, 1, file) == 1) words.push_back(word);
    std::fclose(file);
    return words;
}

// Where the episode of an element ends.
size_t episode_end(const std::vector<uint64_t>& elements, size_t first) {
    while (first < elements.size() && !(elements[first] & END)) ++first;
    return first < elements.size() ? first + 1 : first;
}

}  // namespace

int main(int count, char** arguments) {
    if (count < 6) fail("arguments are missing");
    const std::string datapath = std::string("TOP.") + arguments[1] + ".datapath.";
    const uint64_t cycles = std::strtoull(arguments[2], nullptr, 10);
    const uint64_t first = std::strtoull(arguments[3], nullptr, 10);
    const uint64_t last = std::strtoull(arguments[4], nullptr, 10);
    const int operators_from = 6 + 2 * std::atoi(arguments[5]);
    if (count < operators_from) fail("states are missing");
    const std::vector<uint64_t> elements = load<uint64_t>("elements.bin");
    const std::vector<uint8_t> plan = load<uint8_t>("plan.bin");

    VerilatedContext context;
#ifdef WAVEFORM_HEADER
    context.traceEverOn(true);
#endif
    Vgruhw top(&context, "TOP");
    std::vector<State> kept;
    for (int index = 6; index < operators_from; index += 2)
        kept.push_back({Probe(context, datapath + arguments[index]),
                        Probe(context, datapath + arguments[index + 1] + ".result")});
    std::vector<Probe> operators;
    for (int index = operators_from; index < count; ++index)
        operators.emplace_back(context, datapath + arguments[index] + ".result");
#ifdef WAVEFORM_HEADER
    WAVEFORM_CLASS waveform;
    top.trace(&waveform, 99);
    waveform.open("waveform");
#endif

    top.m_axis_tready = 1;
    top.s_axis_tvalid = 0;
    top.rst = 1;
    for (int cycle = 0; cycle < RESET_CYCLES; ++cycle) {
        top.clk = 0;
        top.eval();
        top.clk = 1;
        top.eval();
    }
    std::FILE* outputs = open("outputs.bin", "wb");
    std::FILE* states = open("states.bin", "wb");
    std::FILE* window = open("window.bin", "wb");
    std::FILE* episodes = open("episodes.bin", "wb");
    std::FILE* broken = open("broken.bin", "wb");
    std::vector<uint64_t> results(operators.size());
    size_t sent = 0, end = episode_end(elements, 0);
    uint64_t cycle = 0, waited = 0, started = NEVER, held_data = 0, held_last = 0;
    bool pending = false;  // an input element was offered and not accepted
    bool held = false;     // an output element was offered and not taken
    for (uint64_t clock = 0; cycle < cycles; ++clock) {
        const uint8_t signals = clock < plan.size() ? plan[clock] : OFFER | TAKE;
        const bool reset = signals & RESET, begins = reset && !top.rst;
        const bool offer = sent < end && (pending || (signals & OFFER));
        const uint64_t next = sent < elements.size() ? elements[sent] : 0;
        const uint64_t element = offer ? next : ~next;  // nobody may read what is not offered
        top.rst = reset;
        top.s_axis_tvalid = offer;
        top.s_axis_tdata = element & 0xffffffffu;
        top.s_axis_tlast = (element & LAST) != 0;
        top.m_axis_tready = (signals & TAKE) != 0;
        top.clk = 0;
        top.eval();
        if (begins) {
            write(episodes, {started, cycle});
            started = NEVER;
            sent = end;
            end = episode_end(elements, end);
        }
        if (reset) {
            pending = held = false;
        } else {
            const bool accepted = offer && top.s_axis_tready;
            if (accepted && started == NEVER) started = cycle;
            sent += accepted;
            pending = offer && !accepted;
            if (held && !(top.m_axis_tvalid && top.m_axis_tdata == held_data &&
                          top.m_axis_tlast == held_last))
                write(broken, {cycle});
            if (top.m_axis_tvalid && top.m_axis_tready)
                write(outputs, {cycle, top.m_axis_tdata, top.m_axis_tlast});
            held = top.m_axis_tvalid && !top.m_axis_tready;
            held_data = top.m_axis_tdata;
            held_last = top.m_axis_tlast;
            for (size_t number = 0; number < kept.size(); ++number)
                if (kept[number].written.read())
                    write(states, {number, cycle, kept[number].result.read()});
        }
        if (first <= cycle && cycle <= last) {
            for (size_t index = 0; index < operators.size(); ++index)
                results[index] = operators[index].read();
            write(window, results);
#ifdef WAVEFORM_HEADER
            waveform.dump(2 * (cycle - first));
#endif
        }
        top.clk = 1;
        top.eval();
#ifdef WAVEFORM_HEADER
        if (first <= cycle && cycle <= last) waveform.dump(2 * (cycle - first) + 1);
#endif
        if (sent) ++cycle;
        else if (++waited > LATEST_START) break;
    }
    write(episodes, {started, cycle});
#ifdef WAVEFORM_HEADER
    waveform.close();
#endif
    close(outputs);
    close(states);
    close(window);
    close(episodes);
    close(broken);
    return 0;
}
