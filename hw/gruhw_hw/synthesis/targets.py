"""What gruhw synthesises for: the Yosys commands and the cell table of each target, as data."""

from collections.abc import Mapping
from dataclasses import dataclass

from gruhw.basics.files import PathLike
from gruhw.errors import InputError
from gruhw_hw.pdk import Liberty, load_liberty
from gruhw_hw.synthesis.resources import Resources

CellTable = tuple[tuple[str, Resources], ...]

NOTHING = Resources()
LUT = Resources(luts=1)
FLIP_FLOP = Resources(flip_flops=1)
CARRY = Resources(carries=1)
WIDE_MUX = Resources(wide_muxes=1)
BLOCK_RAM = Resources(block_rams=1)
DSP = Resources(dsps=1)

LIBRARY_FILE = "library.lib"
"""The name of the Liberty file inside the folder that Yosys runs in."""


@dataclass(frozen=True)
class Target:
    """A technology.

    Parameters
    ----------
    name
        As users give it on the command line.
    description
        One line for people.
    command
        The Yosys command that maps a design to it, without ``-top``.
    flat, hierarchical
        The option that makes the result one module, or keeps the modules apart.
    dsp, no_dsp
        The option that allows multiplier blocks, or forbids them.
    after
        Yosys commands that follow.
    block_ram
        The unit of :attr:`Resources.block_rams`.
    liberty
        Whether it takes a standard-cell library, from which its cell table is then made.
    cells
        Each cell type and what one of it uses.
    models, model_defines
        The file with simulation models of its cells among those that come with Yosys, if it is
        used, and the macros that it must be read with. Libraries have models of their own.
    """

    name: str
    description: str
    command: str
    flat: str = ""
    hierarchical: str = ""
    dsp: str = ""
    no_dsp: str = ""
    after: tuple[str, ...] = ()
    block_ram: str = ""
    liberty: bool = False
    cells: CellTable = ()
    models: str = ""
    model_defines: tuple[str, ...] = ()

    @property
    def has_models(self) -> bool:
        """Whether its netlists can be simulated."""
        return bool(self.models) or self.liberty

    def commands(self, top: str, *, flatten: bool, dsp: bool) -> tuple[str, ...]:
        """The Yosys commands that map the module ``top``, already read, to this target."""
        options = (
            self.command,
            self.flat if flatten else self.hierarchical,
            self.dsp if dsp else self.no_dsp,
            f"-top {top}",
        )
        return (" ".join(option for option in options if option), *self.after)


# Yosys leaves the names of flattened modules behind as cells that stand for no hardware.
SCOPES: CellTable = (("$scopeinfo", NOTHING),)

# No I/O buffers anywhere: the accelerator is a block inside a larger design.
TARGETS: Mapping[str, Target] = {
    target.name: target
    for target in (
        Target(
            name="ice40",
            description="Lattice iCE40: 4-input LUTs, 4 kbit block RAMs",
            command="synth_ice40",
            hierarchical="-noflatten",
            dsp="-dsp",
            block_ram="SB_RAM40_4K",
            models="ice40/cells_sim.v",
            # Icarus does not take default values of input ports.
            model_defines=("NO_ICE40_DEFAULT_ASSIGNMENTS",),
            cells=(
                *SCOPES,
                ("SB_LUT4", LUT),
                ("SB_DFF*", FLIP_FLOP),
                ("SB_CARRY", CARRY),
                ("SB_RAM40_4K*", BLOCK_RAM),
                ("SB_MAC16", DSP),
            ),
        ),
        Target(
            name="ecp5",
            description="Lattice ECP5: 4-input LUTs, 18 kbit block RAMs",
            command="synth_ecp5",
            hierarchical="-noflatten",
            no_dsp="-nodsp",
            block_ram="DP16KD",
            cells=(
                *SCOPES,
                ("LUT4", LUT),
                ("TRELLIS_FF", FLIP_FLOP),
                # Two bits of a carry chain take the two LUTs of a slice.
                ("CCU2C", Resources(luts=2, carries=1)),
                ("PFUMX", WIDE_MUX),
                ("L6MUX21", WIDE_MUX),
                ("TRELLIS_DPR16X4", Resources(memory_luts=4)),
                ("DP16KD", BLOCK_RAM),
                ("PDPW16KD", BLOCK_RAM),
                ("MULT18X18D", DSP),
            ),
        ),
        Target(
            name="xc7",
            description="AMD 7 series: 6-input LUTs, 18 kbit block RAMs",
            command="synth_xilinx -family xc7 -noiopad -noclkbuf",
            flat="-flatten",
            no_dsp="-nodsp",
            block_ram="RAMB18E1",
            cells=(
                *SCOPES,
                ("LUT[1-6]", LUT),
                ("INV", LUT),
                ("FD[RSCP]E", FLIP_FLOP),
                ("FD[RSCP]E_1", FLIP_FLOP),
                ("CARRY4", CARRY),
                ("MUXF[78]", WIDE_MUX),
                ("SRL16E", Resources(memory_luts=1)),
                ("SRLC16E", Resources(memory_luts=1)),
                ("SRLC32E", Resources(memory_luts=1)),
                ("RAM32X1S", Resources(memory_luts=1)),
                ("RAM64X1S", Resources(memory_luts=1)),
                ("RAM32X1D", Resources(memory_luts=2)),
                ("RAM64X1D", Resources(memory_luts=2)),
                ("RAM128X1S", Resources(memory_luts=2)),
                ("RAM128X1D", Resources(memory_luts=4)),
                ("RAM256X1S", Resources(memory_luts=4)),
                ("RAM32M", Resources(memory_luts=4)),
                ("RAM64M", Resources(memory_luts=4)),
                ("RAMB18E1", BLOCK_RAM),
                ("RAMB36E1", BLOCK_RAM * 2),
                ("DSP48E1", DSP),
            ),
        ),
        Target(
            name="gowin",
            description="Gowin LittleBee and Arora: 4-input LUTs, 18 kbit block RAMs",
            command="synth_gowin -noiopads",
            hierarchical="-noflatten",
            no_dsp="-nodsp",
            block_ram="BSRAM",
            cells=(
                *SCOPES,
                ("GND", NOTHING),
                ("VCC", NOTHING),
                ("LUT[1-4]", LUT),
                ("INV", LUT),
                ("DFF*", FLIP_FLOP),
                # A bit of a carry chain takes the place of a LUT.
                ("ALU", Resources(luts=1, carries=1)),
                ("MUX2_LUT[5-8]", WIDE_MUX),
                ("RAM16S1", Resources(memory_luts=1)),
                ("RAM16S2", Resources(memory_luts=2)),
                ("RAM16S4", Resources(memory_luts=4)),
                ("RAM16SDP1", Resources(memory_luts=1)),
                ("RAM16SDP2", Resources(memory_luts=2)),
                ("RAM16SDP4", Resources(memory_luts=4)),
                ("SP", BLOCK_RAM),
                ("SPX9", BLOCK_RAM),
                ("SDPB", BLOCK_RAM),
                ("SDPX9B", BLOCK_RAM),
                ("DPB", BLOCK_RAM),
                ("DPX9B", BLOCK_RAM),
                ("pROM", BLOCK_RAM),
                ("pROMX9", BLOCK_RAM),
                ("MULT*", DSP),
            ),
        ),
        Target(
            name="asic",
            description="standard cells of a Liberty library, by default IHP SG13G2 (130 nm)",
            command="synth",
            flat="-flatten",
            after=(
                f"dfflibmap -liberty {LIBRARY_FILE}",
                f"abc -liberty {LIBRARY_FILE}",
                "opt_clean",
            ),
            liberty=True,
            cells=SCOPES,
        ),
    )
}
"""Every target by name."""


def library_of(target: Target, path: PathLike | None = None) -> Liberty | None:
    """The standard-cell library of a target: that at ``path``, or the default one; None for FPGAs.

    Raises
    ------
    InputError
        If the library is wrong, or given for a target that takes none.
    ToolError
        If the default library cannot be downloaded.
    """
    if target.liberty:
        return load_liberty(path)
    if path is not None:
        takes = ", ".join(name for name, other in TARGETS.items() if other.liberty)
        raise InputError(f"{path}: only target {takes} takes a library, not {target.name}")
    return None


def liberty_cells(liberty: Liberty) -> CellTable:
    """The cell table of a standard-cell library; cells without an area are left out of it."""
    return tuple(
        (
            # Brackets would be a pattern.
            name.replace("[", "[[]"),
            Resources(
                flip_flops=int(cell.flip_flop),
                area_um2=cell.area,
                nand2_equivalents=cell.area / liberty.nand2_area,
            ),
        )
        for name, cell in liberty.cells.items()
        if cell.area is not None
    )
