"""A testbench in Verilog-2005 that needs neither Python nor gruhw.

In the folder of a design::

    iverilog -g2005 -o testbench.vvp testbench.v gruhw.v && vvp testbench.vvp

prints one line that begins with ``PASS`` and exits with status 0, or lines that begin with
``FAIL`` and exits with status 1; with ``-g2012`` and the standards between, too. The exit status
needs an extension of Icarus Verilog, which ``__ICARUS__`` guards: other simulators end with
``$finish``, and their output must be read.
"""

from string import Template

import numpy as np
from numpy.typing import ArrayLike

from gruhw.network.bound import Network
from gruhw.network.fixed import IntArray
from gruhw_hw.datapath import output_type
from gruhw_hw.identifiers import check_top, verilog_file
from gruhw_hw.top import TOP, axi_width
from gruhw_sim.expectations import Scenario, quiet_cycles

TESTBENCH = "testbench.v"
STIMULUS = "stimulus.hex"
EXPECTED = "expected.hex"

CYCLE_BITS = 48
"""The width of a cycle's number in the file of expected elements."""

SLOWEST = 40
"""How many times longer than without stalls the pass with stalls may take."""

TEMPLATE = Template("""\
// Checks $verilog against the integers and cycles that its reference predicts.
//
//     iverilog -g2005 -o testbench.vvp $testbench $verilog && vvp testbench.vvp
//
// First all sequences without a stall: every output element must come in its exact cycle.
// Then again with gaps and back-pressure: every element must still come, unchanged.

module ${top}_testbench;
  localparam INPUT_BITS = $input_bits;    // of s_axis_tdata
  localparam OUTPUT_BITS = $output_bits;  // of m_axis_tdata
  localparam ELEMENTS = $elements;
  localparam OUTPUTS = $outputs;
  localparam REGIME = $regime;            // cycles until the kind of stalls changes
  localparam QUIET = $quiet;              // cycles in which a surplus element would come
  localparam TIMEOUT = $timeout;
  localparam REPORTED = 10;               // differences that are printed

  reg clk = 1'b0;
  reg rst = 1'b0;
  reg s_valid = 1'b0;
  reg [INPUT_BITS:0] s_payload;  // tlast, tdata
  reg m_ready = 1'b0;
  wire s_ready, m_valid, m_last;
  wire [OUTPUT_BITS-1:0] m_data;

  $top dut (
    .clk(clk),
    .rst(rst),
    .s_axis_tvalid(s_valid),
    .s_axis_tready(s_ready),
    .s_axis_tdata(s_payload[INPUT_BITS-1:0]),
    .s_axis_tlast(s_payload[INPUT_BITS]),
    .m_axis_tvalid(m_valid),
    .m_axis_tready(m_ready),
    .m_axis_tdata(m_data),
    .m_axis_tlast(m_last)
  );

  reg [INPUT_BITS:0] stimulus[0:ELEMENTS-1];
  reg [$cycle_bits+OUTPUT_BITS:0] expected[0:OUTPUTS-1];  // cycle, tlast, tdata

  reg stalls = 1'b0;       // the second pass
  reg [31:0] random = 32'h1d872b41;
  reg [1:0] regime = 2'd0;
  reg waiting = 1'b0;      // an element was offered, and not taken
  reg [OUTPUT_BITS:0] offered;
  reg accepted;
  reg [$cycle_bits-1:0] due;
  reg [OUTPUT_BITS:0] right;
  integer cycle = 0;
  integer first = 0;       // the cycle that accepted the first element
  integer finished = 0;    // the cycle that took the last one
  integer sent = 0;
  integer received = 0;
  integer differences = 0;
  integer predicted = 0;   // cycles of the first pass

  always #5 clk = ~clk;

  // The block must see rst rise. In SystemVerilog an initial value is no event: what the block
  // computes from its registers is unknown there until one of its inputs changes.
  initial #1 rst = 1'b1;

  task fail;
    begin
      differences = differences + 1;
      if (differences == REPORTED + 1) $$display("FAIL: more differences are not printed");
    end
  endtask

  task quit;
    begin
      if (differences != 0)
        $$display("FAIL: %0d differences", differences);
      else
        $$display("PASS: %0d sequences, %0d elements in, %0d out, %0d cycles as predicted",
                  $sequences, ELEMENTS, OUTPUTS, predicted);
`ifdef __ICARUS__
      if (differences != 0) $$finish_and_return(1);
`endif
      $$finish;
    end
  endtask

  initial begin
    $$readmemh("$stimulus", stimulus);
    $$readmemh("$expected", expected);
  end

  // Everything is sampled at the rising edge, and changes after it.
  always @(posedge clk) begin
    cycle <= cycle + 1;
    random <= {random[30:0], random[31] ^ random[21] ^ random[1] ^ random[0]};
    if (cycle % REGIME == 0) regime <= random[17:16];
    rst <= 1'b0;
    accepted = s_valid & s_ready & ~rst;
    if (rst) begin
      sent <= 0;
      received <= 0;
      waiting <= 1'b0;
    end else begin
      if (accepted) begin
        if (sent == 0) first <= cycle;
        sent <= sent + 1;
      end
      if (accepted | ~s_valid) begin
        s_valid <= sent + accepted < ELEMENTS & ~(stalls & gap(regime, random));
        s_payload <= sent + accepted < ELEMENTS ? stimulus[sent + accepted] : 0;
      end
      m_ready <= ~(stalls & hold(regime, random));

      waiting <= m_valid & ~m_ready;
      offered <= {m_last, m_data};
      if (waiting & (~m_valid | offered !== {m_last, m_data})) begin
        fail;
        if (differences <= REPORTED)
          $$display("FAIL: element %0d must stay offered until it is taken", received);
      end
      if (m_valid === 1'bx) begin
        fail;
        if (differences <= REPORTED)
          $$display("FAIL: m_axis_tvalid is unknown in cycle %0d", cycle);
      end

      if (m_valid & m_ready) begin
        received <= received + 1;
        finished <= cycle;
        if (received >= OUTPUTS) begin
          fail;
          if (differences <= REPORTED)
            $$display("FAIL: element %0d: must not exist, found %h", received, m_data);
        end else begin
          {due, right} = expected[received];
          if ({m_last, m_data} !== right) begin
            fail;
            if (differences <= REPORTED)
              $$display("FAIL: element %0d: expected data %h last %b, found data %h last %b",
                        received, right[OUTPUT_BITS-1:0], right[OUTPUT_BITS], m_data, m_last);
          end
          if (~stalls & (cycle - first != due)) begin
            fail;
            if (differences <= REPORTED)
              $$display("FAIL: element %0d: expected in cycle %0d, found in cycle %0d",
                        received, due, cycle - first);
          end
        end
      end

      if (received >= OUTPUTS & cycle > finished + QUIET) begin
        if (stalls) quit;
        predicted = finished - first + 1;
        stalls <= 1'b1;
        rst <= 1'b1;
        s_valid <= 1'b0;
        cycle <= 0;
        finished <= 0;
      end else if (cycle > TIMEOUT * (stalls ? $slowest : 1)) begin
        fail;
        $$display("FAIL: time-out after %0d of %0d elements", received, OUTPUTS);
        quit;
      end
    end
  end

  // Regime 0 has no stalls, 1 has many short ones, 2 starves the input, 3 blocks the output.
  function gap(input [1:0] regime, input [31:0] random);
    gap = regime == 1 ? random[3] : regime == 2 ? random[7:4] != 0 : 1'b0;
  endfunction

  function hold(input [1:0] regime, input [31:0] random);
    hold = regime == 1 ? random[11] : regime == 3 ? random[15:9] != 0 : 1'b0;
  endfunction
endmodule
""")


def plain_testbench(
    network: Network, inputs: ArrayLike, lengths: ArrayLike | None, top: str = TOP
) -> dict[str, bytes | str]:
    """The testbench and its two data files, by name; the same arguments give the same bytes.

    Parameters
    ----------
    inputs
        Integers of the input type, shape [N, T, inputs].
    lengths
        Steps of each sequence, 1 to T, shape [N]; all T if None.
    top
        The name of the accelerator's module; that of the testbench's is ``TOP_testbench``.

    Raises
    ------
    InputError
        If inputs or lengths do not fit the network, there is no sequence, or ``top`` is no plain
        Verilog name.
    """
    check_top(top)
    scenario = Scenario.of(network, inputs, lengths)
    stream, schedule = scenario.stream(), scenario.schedule
    input_bits, output_bits = axi_width(network.input_type), axi_width(output_type(schedule))
    sequence = np.repeat(np.arange(len(scenario.lengths)), np.diff(stream["sequence_outputs"]))
    cycles = stream["output_cycle"] + stream["sequence_start"][sequence]
    quiet = quiet_cycles(schedule)
    text = TEMPLATE.substitute(
        top=top,
        verilog=verilog_file(top),
        testbench=TESTBENCH,
        stimulus=STIMULUS,
        expected=EXPECTED,
        input_bits=input_bits,
        output_bits=output_bits,
        elements=len(stream["element"]),
        outputs=len(stream["output_value"]),
        sequences=len(scenario.lengths),
        regime=max(64, 2 * schedule.step_interval),
        quiet=quiet,
        timeout=int(cycles[-1]) + 2 * quiet,
        cycle_bits=CYCLE_BITS,
        slowest=SLOWEST,
    )
    return {
        TESTBENCH: text,
        STIMULUS: _hexadecimal((stream["element"], input_bits), (stream["element_last"], 1)),
        EXPECTED: _hexadecimal(
            (stream["output_value"], output_bits),
            (stream["output_last"], 1),
            (cycles, CYCLE_BITS),
        ),
    }


def _hexadecimal(*fields: tuple[IntArray, int]) -> str:
    """A line of hexadecimal digits for each element: fields of values and widths, lowest first."""
    digits = -(-sum(width for _, width in fields) // 4)
    lines = []
    for row in zip(*(values.tolist() for values, _ in fields), strict=True):
        word = shift = 0
        for value, (_, width) in zip(row, fields, strict=True):
            word |= (value & ((1 << width) - 1)) << shift
            shift += width
        lines.append(f"{word:0{digits}x}\n")
    return "".join(lines)
