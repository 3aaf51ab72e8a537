// Runs an accelerator without a stall and writes down what it gives, and when.
//
//     harness CYCLES FIRST LAST STATE OPERATOR...
//
// All files stand in the current folder and hold 64-bit words of the machine.
//
//     elements.bin  in   the input elements; bit 32 ends a sequence
//     outputs.bin   out  for each output element: cycle, data, last
//     states.bin    out  for each state written: cycle, result of the operator STATE
//     window.bin    out  for each cycle from FIRST to LAST: the results of the OPERATORs
//     waveform      out  of the same cycles, if this program was compiled for that
//
// Cycle 0 accepts the first element. A cycle is read in its middle, where both streams have
// settled; the rising edge ends it.

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
const std::string DATAPATH = "TOP.gruhw.datapath";

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

// A signal inside the design.
class Probe {
public:
    Probe(const VerilatedContext& context, const std::string& scope, const char* name) {
        const VerilatedScope* found = context.scopeFind(scope.c_str());
        const VerilatedVar* signal = found ? found->varFind(name) : nullptr;
        if (!signal) fail("no signal " + scope + "." + name);
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

std::vector<uint64_t> load(const char* name) {
    std::FILE* file = open(name, "rb");
    std::vector<uint64_t> words;
    uint64_t word;
    while (std::fread(&word, sizeof word, 1, file) == 1) words.push_back(word);
    std::fclose(file);
    return words;
}

}  // namespace

int main(int count, char** arguments) {
    if (count < 5) fail("arguments are missing");
    const uint64_t cycles = std::strtoull(arguments[1], nullptr, 10);
    const uint64_t first = std::strtoull(arguments[2], nullptr, 10);
    const uint64_t last = std::strtoull(arguments[3], nullptr, 10);
    const std::vector<uint64_t> elements = load("elements.bin");

    VerilatedContext context;
#ifdef WAVEFORM_HEADER
    context.traceEverOn(true);
#endif
    Vgruhw top(&context, "TOP");
    const Probe written(context, DATAPATH, "state_written");
    const Probe state(context, DATAPATH + "." + arguments[4], "result");
    std::vector<Probe> operators;
    for (int index = 5; index < count; ++index)
        operators.emplace_back(context, DATAPATH + "." + arguments[index], "result");
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
    top.rst = 0;

    std::FILE* outputs = open("outputs.bin", "wb");
    std::FILE* states = open("states.bin", "wb");
    std::FILE* window = open("window.bin", "wb");
    std::vector<uint64_t> results(operators.size());
    size_t sent = 0;
    uint64_t waited = 0;
    for (uint64_t cycle = 0; cycle < cycles;) {
        const uint64_t element = sent < elements.size() ? elements[sent] : 0;
        top.s_axis_tvalid = sent < elements.size();
        top.s_axis_tdata = element & 0xffffffffu;
        top.s_axis_tlast = static_cast<CData>(element >> 32);
        top.clk = 0;
        top.eval();
        if (top.s_axis_tvalid && top.s_axis_tready) ++sent;
        if (top.m_axis_tvalid) write(outputs, {cycle, top.m_axis_tdata, top.m_axis_tlast});
        if (written.read()) write(states, {cycle, state.read()});
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
#ifdef WAVEFORM_HEADER
    waveform.close();
#endif
    close(outputs);
    close(states);
    close(window);
    return 0;
}
