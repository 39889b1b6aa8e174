"""What a compiled program costs is read from its text; one step asks for one all-reduce."""

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import NamedSharding, PartitionSpec
from tiny_networks import tiny_network

from configs import stargan
from dfd_jax.runtime import sharding
from experiments import flops, tpu_plan
from experiments.benchmarks import full_size, hlo

TEXT = """HloModule jit_step, is_scheduled=true

%fused (p: bf16[8,8]) -> bf16[8,8] {
  %p = bf16[8,8]{1,0} parameter(0)
  ROOT %inner = bf16[8,8]{1,0} add(%p, %p), config={"estimated_cycles":"999"}
}

%body (p.1: (s32[], bf16[8,8])) -> (s32[], bf16[8,8]) {
  %p.1 = (s32[]{:T(128)}, bf16[8,8]{1,0:T(8,128)(2,1)}) parameter(0)
  %w = bf16[8,8]{1,0} pad(%p.1, %p.1), padding=0_0_1x0_0
  %f = bf16[8,8]{1,0} fusion(%p.1), kind=kLoop, calls=%fused, config={"estimated_cycles":"7"}
  ROOT %t = (s32[], bf16[8,8]{1,0}) tuple(%p.1, %f)
}

%cond (p.2: (s32[], bf16[8,8])) -> pred[] {
  ROOT %less = pred[] compare(%p.2, %p.2), direction=LT
}

%left (p.3: bf16[8,8]) -> bf16[8,8] {
  ROOT %a = bf16[8,8]{1,0} fusion(%p.3), calls=%fused, config={"estimated_cycles":"100"}
}

%right (p.4: bf16[8,8]) -> bf16[8,8] {
  ROOT %b = bf16[8,8]{1,0} fusion(%p.4), calls=%fused, config={"estimated_cycles":"300"}
}

ENTRY %main (x: bf16[8,8]) -> (f32[10], f32[]) {
  %x = bf16[8,8]{1,0:T(8,128)(2,1)} parameter(0)
  %loop = (s32[], bf16[8,8]{1,0}) while(%x), condition=%cond, body=%body, \
backend_config={"known_trip_count":{"n":"5"}}
  %c = bf16[8,8]{1,0} conditional(%x, %x), branch_computations={%left, %right}
  %r = (f32[2,5]{1,0:T(8,128)S(1)}, f32[]{:T(128)}) all-reduce-start(%x), to_apply=%add
  ROOT %d = (f32[2,5]{1,0:T(8,128)}, f32[]) all-reduce-done(%r)
}
"""


def test_cycles_are_those_of_everything_that_runs():
    assert hlo.Program(TEXT).cycles == 5 * 7 + (100 + 300) / 2


def test_what_is_padded_without_an_estimate_is_named():
    assert hlo.Program(TEXT).bytes_without_estimate == 5 * 2 * 8 * 8


def test_a_collective_is_counted_once_with_all_its_bytes():
    assert hlo.Program(TEXT).collectives() == [("all-reduce", 4.0 * (10 + 1))]


def test_bytes_of_arrays_and_tuples():
    assert hlo.bytes_of("bf16[16,65,65,256]{3,0,2,1:T(8,128)(2,1)S(1)}") == 2 * 16 * 65 * 65 * 256
    assert hlo.bytes_of("(f32[]{:T(128)}, pred[3], (u8[4]{0}))") == 4 + 3 + 4


def test_a_text_that_is_no_program_is_refused():
    with pytest.raises(ValueError, match="no ENTRY"):
        hlo.Program("nothing")


def test_peak_matrix_units_and_clock_agree():
    chip = tpu_plan.CHIPS["v5e"]
    assert chip.clock == pytest.approx(1.5e9, rel=0.01)  # as published
    ideal = 2 * 8192**3 / chip.per_cycle
    assert tpu_plan.mfu(2 * 8192**3, 2 * ideal, chip) == pytest.approx(0.5)


def test_a_missing_file_stands_for_the_full_size_network_of_its_name():
    nets = tpu_plan.networks(stargan.get_config("paper"), "tpu")
    assert [net.card.model for net in (nets.perturber, *nets.generators, *nets.detectors)] == [
        "unet",
        "stargan",
        "xception",
    ]
    assert full_size.count(nets.detectors[0]) == pytest.approx(20.8e6, rel=0.01)
    config = stargan.get_config()
    assert tpu_plan.networks(config, "cpu").generators[0].card.info  # the zoo's own card
    config.generators = ("weights/unheard_of.safetensors",)
    with pytest.raises(ValueError, match="'unheard_of' is none of"):
        tpu_plan.networks(config, "cpu")


def test_a_network_of_shapes_costs_what_the_real_one_does():
    real, photos = tiny_network("stargan"), jnp.zeros((2, 16, 16, 3))
    outlined = full_size.of_card(real.card, jnp.float32)
    costs = [flops.of(lambda n, x: n(x, jnp.zeros((2, 5))), n, photos) for n in (real, outlined)]
    assert costs[0] == costs[1] > 0


def tiny_step(batch, mesh=None):
    nets = [tiny_network(model) for model in ("unet", "stargan", "resnet18")]
    outlined = [full_size.of_card(net.card, jnp.float32) for net in nets]
    nets = full_size.Networks(outlined[0], (outlined[1],), (outlined[2],))
    return nets, *full_size.training_step(nets, batch, mesh=mesh)


@pytest.mark.slow
def test_chips_exchange_the_gradients_of_p_and_the_metrics_once_a_step():
    mesh = sharding.make_mesh(jax.devices()[:8])
    nets, step, (state, against, batch, key) = tiny_step(8, mesh)
    everywhere = NamedSharding(mesh, PartitionSpec())
    state, against, key = full_size.placed((state, against, key), everywhere)
    batch = full_size.placed(batch, NamedSharding(mesh, full_size.DATA))
    program = hlo.Program(step.lower(state, against, batch, key).compile().as_text())
    found = program.collectives()
    metrics = jax.eval_shape(step, *tiny_step(8)[2])[1]
    gradients = 4 * full_size.count(nets.perturber)
    assert [kind for kind, _ in found] == ["all-reduce"]
    assert gradients < found[0][1] <= gradients + 4 * len(metrics)


def test_a_program_is_planned_for_every_chip_of_a_topology():
    pytest.importorskip("libtpu", reason="the TPU compiler is in the package libtpu")

    def product(a, b):
        return a @ b

    def make(photos):
        side = jax.ShapeDtypeStruct((1024, 1024), jnp.bfloat16)
        return jax.jit(product), (jax.ShapeDtypeStruct((photos, 1024), jnp.bfloat16), side)

    work = tpu_plan.Work("product", make, (True, False), lambda photos: 2.0 * photos * 1024**2)
    found = tpu_plan.plan(work, full_size.mesh_of("v5e:2x2"), tpu_plan.CHIPS["v5e"], 1024)
    assert found["fits"]
    assert found["collectives"] == []
    assert 0.3 < found["mfu"] < 1
    assert found["flops"] == pytest.approx(found["least_flops"], rel=0.01)


def test_the_gradients_of_a_large_p_are_exchanged_at_once_too():
    pytest.importorskip("libtpu", reason="the TPU compiler is in the package libtpu")
    mesh = full_size.mesh_of("v5e:2x2")

    def averaged(tree, scale):
        grown = jax.tree.map(lambda x: x * scale[0], tree)
        return jax.lax.pmean(grown, "data")

    everywhere, split = PartitionSpec(), PartitionSpec("data")
    program = jax.shard_map(
        averaged, mesh=mesh, in_specs=(everywhere, split), out_specs=everywhere, check_vma=False
    )
    arrays = [jax.ShapeDtypeStruct((4096, 2048), jnp.float32)] * 6  # 32 MiB each
    arrays = full_size.placed(arrays, NamedSharding(mesh, everywhere))
    scale = jax.ShapeDtypeStruct((4,), jnp.float32, sharding=NamedSharding(mesh, split))
    options = sharding.compiler_options(mesh)
    compiled = jax.jit(program, compiler_options=options).lower(arrays, scale).compile()
    assert hlo.Program(compiled.as_text()).collectives() == [("all-reduce", 6.0 * 2**25)]
    assert sharding.compiler_options(sharding.make_mesh()) is None
