"""A wrong command line: one line that names key, value and remedy, status 2, nothing written.

Each entry of the tables: the command line as in a shell, then texts that the answer contains.
``{file}`` is a file, ``{missing}`` a folder that does not exist, ``{run}`` one that holds a run.
"""

from __future__ import annotations

import functools
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.config import Config, ConfigError
from runner.config.compose import Composer

ROOT = Path(__file__).resolve().parents[2]

NAMES = [
    ("bad=1", "bad=1: unknown key"),
    ("alg=resl", "alg=resl", "nearest valid: algorithm"),
    ("Algorithm=resl", "nearest valid: algorithm"),
    ("lr=0.1", "lr=0.1", "nearest valid: optim.lr"),
    ("n_states=4", "nearest valid: device.n_states"),
    ("epochs=3", "nearest valid: run.epochs"),
    ("algorithm.gama=0.5", "nearest valid: algorithm.gamma"),
    ("algorithm.transfer_every.frst=3", "nearest valid: algorithm.transfer_every.first"),
    ("algorithm.transfer_evry.first=3", "nearest valid: algorithm.transfer_every.first"),
    ("algorithm.transfer_every={{first:3,x:1}}", "algorithm.transfer_every.x", "first, growth"),
    ("data.limit=3", "nearest valid: data.train_limit"),
    ("run.lr=3", "nearest valid: optim.lr"),
    ("optm.lr=3", "nearest valid: optim.lr"),
    ("warm_start.enable=true", "nearest valid: warm_start.enabled"),
    ("+warm_start.nonsense=1", "+warm_start.nonsense=1: unknown key", "significance"),
    ("++run.foo=x", "++run.foo=x: unknown key", "epochs"),
    ("run.epochs.foo=3", "nearest valid: run.epochs"),
    ("run={{epochs:3,foo:1}}", "run.foo=1: unknown key"),
    ("model.block_types.0=D", "nearest valid: model.block_types"),
    ("algorithm=sgd algorithm.n_tiles=3", "algorithm=resl, not of algorithm=sgd"),
    ("algorithm=fp_sgd algorithm.transfer_lr.first=3", "algorithm=resl, not of algorithm=fp_sgd"),
    ("algorithm=sgd algorithm.nope=3", "algorithm.nope=3: unknown key"),
    ("algorithm.name=sgd", "nearest valid: algorithm=sgd"),
    ("hydra.foo=1", "hydra.foo=1"),
    ("hydra.run.dir=here", "hydra.run.dir=here", "nearest valid: run.dir=here"),
    ("hydra.job.chdir=true", "hydra.job.chdir=true: a run does not change"),
]

OPTIONS = [
    ("algorithm=resll", "algorithm=resll: must be one of", "nearest valid: resl)"),
    ("algorithm=", "algorithm='': must be one of"),
    ("algorithm=null", "algorithm=null: must be one of"),
    ("algorithm=[resl]", "algorithm=[resl]", "nearest valid: resl"),
    ("algorithm={{n_tiles:3}}", "must be one of"),
    ("algorithm@foo=resl", "algorithm@foo=resl", "package"),
    ("+algorithm=resl", "+algorithm=resl", "nearest valid: algorithm=resl"),
    ("device=softbounds", "nearest valid: soft_bounds"),
    ("device=pow", "device=pow: must be one of constant_step", "nearest valid: pow_step"),
    ("fast_device=pow", "fast_device=pow: must be one of", "nearest valid: pow_step"),
    ("+fast_device=pow_step", "+fast_device=pow_step", "write it without +"),
    ("fast_device.n_states=20", "fast_device.n_states=20: needs a fast_device"),
    ("fast_device=pow_step fast_device.mult_noise=true", "fast_device=pow_step has no such key"),
    ("device.pow_gamma=2", "is a key of device=pow_step|pow_step_reference, not of device=soft_b"),
    ("algorithm=analog_sgd device=ideal device.n_states=4", "device=ideal has no such key"),
    ("device.w_mn=-1", "device.w_mn=-1: unknown key", "nearest valid: device.w_min"),
    ("device=fitted", "device.csv=null: device=fitted needs a file"),
    ("device=fitted device.csv={missing}", "device.csv={missing}: does not exist"),
    ("device=fitted device.csv={run}", "device.csv={run}: can not be read: is a directory"),
    ("device=fitted device.csv={file}", "needs one column pulse; its header has not a folder"),
    ("device=fitted device.csv={file} device.model=sigmoid", "must be one of constant_step, "),
    ("io=perfekt", "nearest valid: perfect"),
    ("data=cifar1", "data=cifar1: must be one of cifar10, cifar100, fake, fashion_mnist, "),
    ("data=cifar10", "takes images of 1 x 28 x 28", "data=cifar10 has 3 x 32 x 32"),
    ("model.analog_layers=[fc]", "fc fits no layer of lenet5; there are conv1, conv2, fc1, fc2"),
    ("model.analog_layers=[]", "names no layer"),
    ("model=resnet18 model.analog_layers=[layer5.*]", "layer5.* fits no layer of resnet18"),
    ("model.init_from=/nowhere/w.safetensors", "model.init_from=/nowhere/w.safetensors: does not"),
    ("optim.accumulate=4", "optim.accumulate=4", "gradients do not add up"),
    ("optim.loss=mse optim.label_smoothing=0.1", "is for optim.loss=cross_entropy, not mse"),
    ("optim.loss=nll", "must be one of cross_entropy, mse"),
    ("optim.schedule=plato", "must be one of constant, step, exponential, cosine, plateau"),
    ("algorithm=sgd_plain optim.momentum=0.9", "algorithm=sgd_plain has none; algorithm=sgd or"),
    ("algorithm=adamw optim.momentum=0.9", "algorithm=adamw has none"),
    ("update.desired_bl=32", "update.desired_bl=32", "at least 1 and at most 31"),
    ("update.pulse_type=stochastik", "nearest valid: stochastic"),
    ("update.pulse_type=mean_count", "update.pulse_type=mean_count: must be one of"),
    ("io.forward.inp_bits=1", "io.forward.inp_bits=1", "must be 0 (none) or 2 to 16"),
    ("io.forwards.perfect=false", "unknown key"),
    ("io=quantised", "nearest valid: quantized"),
    ("debug=one", "debug=one: must be one of one_batch, overfit, profiler"),
    ("run.profile=-1", "run.profile=-1", "at least 0"),
    ("data.workers=-1", "data.workers=-1"),
    ("data=mnist5", "nearest valid: mnist5k"),
    ("optim=sgd", "must be one of constant, cosine"),
    ("mapping=whole", "nearest valid: whole_layers"),
    ("model=resnet50", "model=resnet50: must be one of lenet5, resnet18, resnet34"),
    ("model=lenet5 data=fake", "takes images of 1 x 28 x 28", "data=fake has 3 x 32 x 32"),
    ("model=resnet18 model.block_numbers=[2,2,2]", "model.block_numbers=[2,2,2]", "4 stages"),
    ("model=resnet18 model.block_types=[A,A,A,A]", "resnet18 has 6 blocks: stem, layer1"),
    ("model=resnet18 model.activation=gelu", "must be one of relu, sigmoid, tanh, none"),
    ("model.batch_norm=false", r"model=resnet18|resnet34, not of model=lenet5"),
    ("warm_start=off", "must be one of chained, none, paper"),
    ("warm_start=papr", "nearest valid: paper"),
    ("experiment=lenet5_mnst", "nearest valid: lenet5_mnist)"),
    ("+experiment=lenet5_mnist", "nearest valid: experiment=lenet5_mnist)"),
    ("hydra/launcher=nope", "hydra/launcher=nope: must be one of"),
    ("optim.schedule=stepp", "nearest valid: step)"),
    ("warm_start.rule=papr", "nearest valid: paper"),
    ("warm_start.route=chain", "nearest valid: chained"),
    ("run.resume=maybe", "must be one of auto, never, must"),
    ("run.engine=quick", "must be one of fast, exact"),
    ("run.device=cuda", "must be one of cpu"),
    ("tracking=[wand]", "each entry must be one of wandb, tensorboard", "nearest valid: wandb"),
    ("tracking=wandb", "tracking=wandb: must be a list"),
]

TYPES = [
    ("run.epochs=3.5", "run.epochs=3.5: must be a whole number", "nearest valid: 4"),
    ("run.epochs=3.0", "must be a whole number", "nearest valid: 3)"),
    ("run.epochs=1e3", "must be a whole number", "nearest valid: 1000"),
    ("run.epochs=three", "must be a whole number"),
    ("run.epochs='\"3\"'", "must be a whole number", "nearest valid: 3"),
    ("run.epochs=true", "run.epochs=true: must be a whole number"),
    ("run.epochs=null", "run.epochs=null: must not be null"),
    ("run.epochs=", "run.epochs='': must be a whole number"),
    ("run.epochs=[3]", "run.epochs=[3]: must be a whole number"),
    ("run.epochs={{a:1}}", "must be a whole number"),
    ("run.epochs=3 run.epochs=x", "run.epochs=x: must be a whole number"),
    ("run.seed=nan", "must be a whole number"),
    ("optim.lr=nan", "optim.lr=nan: must be a finite number"),
    ("optim.lr=inf", "must be a finite number"),
    ("optim.lr=1e400", "must be a finite number"),
    ("optim.lr=fast", "optim.lr=fast: must be a number"),
    ("optim.lr=true", "must be a number"),
    ("optim.lr=null", "must not be null"),
    ("warm_start.enabled=yes", "must be true or false", "nearest valid: true"),
    ("warm_start.enabled=1", "must be true or false", "nearest valid: true"),
    ("data.download=off", "must be true or false", "nearest valid: false"),
    ("data.train_limit=many", "must be a whole number or null"),
    ("algorithm.transfer_every=3", "must be a section of keys"),
    ("run=fast", "run=fast: must be a section of keys"),
    ("run.dir=", "run.dir='': must not be empty"),
    ("run.dir=[a]", "run.dir=[a]: must be a text"),
    ("name=../evil", "name=../evil: must be letters"),
    ("name='a b'", "must be letters"),
    ("model.block_types=A", "must be a list", "model.block_types=[A]"),
    ("model.block_types=[A,B]", "model.block_types=[A,B]: each entry must be one of A, D"),
    ("model.block_types=[1,2,3,4]", "each entry must be one of A, D"),
]

RANGES = [
    ("device.n_states=1", "device.n_states=1: must be at least 2 (nearest valid: 2)"),
    ("device.n_states=-4", "nearest valid: 2"),
    ("device.dw_min=0", "device.dw_min=0: must be above 0"),
    ("device.dw_min=1.5", "at least 2 states", "nearest valid: 1)"),
    ("device.w_min=0", "must be below 0"),
    ("device.w_max=-1", "must be above 0"),
    ("device.dw_min_std=-0.1", "nearest valid: 0)"),
    ("device.up_down=1", "must be above -1 and below 1"),
    ("device.drift_nu=-1", "device.drift_nu=-1: must be at least 0 and at most 1"),
    ("device.corrupt_devices_prob=2", "nearest valid: 1)"),
    ("device.lifetime=-5", "nearest valid: 0)"),
    ("device=pow_step device.pow_gamma=-1", "nearest valid: 0)"),
    ("device=pow_step_reference device.n_estimation_steps=-2", "nearest valid: -1)"),
    ("device=piecewise_step device.piecewise_up=[1,x]", "each entry must be a number"),
    ("device=pcm algorithm=analog_sgd device.refresh_every=-1", "nearest valid: 0)"),
    ("algorithm.n_tiles=1", "at least 2 and at most 16", "nearest valid: 2)"),
    ("algorithm.n_tiles=17", "nearest valid: 16"),
    ("algorithm.gamma=2", "nearest valid: 1)"),
    ("algorithm.gamma=0", "nearest valid: 0.001"),
    ("algorithm.fast_lr=0", "must be above 0"),
    ("algorithm.transfer_every.first=0", "must be above 0"),
    ("algorithm.transfer_lr.growth=-1", "nearest valid: 0.001"),
    ("algorithm.n_reads_per_transfer=0", "nearest valid: 1)"),
    ("data.train_limit=0", "nearest valid: 1)"),
    ("data.batch_size=0", "nearest valid: 1)"),
    ("data.val_fraction=1", "must be at least 0 and below 1"),
    ("data.val_fraction=-0.1", "nearest valid: 0)"),
    ("optim.lr=0", "optim.lr=0: must be above 0"),
    ("optim.lr=-0.1", "must be above 0"),
    ("optim.step_every=0", "nearest valid: 1)"),
    ("optim.gamma=1.5", "nearest valid: 1)"),
    ("mapping.max_input_size=-1", "nearest valid: 0)"),
    ("warm_start.period=0", "must be above 0"),
    ("warm_start.significance=-1", "nearest valid: 0)"),
    ("warm_start.min_rise=-1", "nearest valid: 0)"),
    ("warm_start.every_n=0", "nearest valid: 1)"),
    ("checkpoint.keep=0", "nearest valid: 1)"),
    ("checkpoint.every_minutes=0", "must be above 0"),
    ("run.epochs=-1", "run.epochs=-1: must be at least 0 (nearest valid: 0)"),
    ("run.threads=0", "nearest valid: 1)"),
    ("run.seed=-1", "nearest valid: 0)"),
    ("run.seed=4294967296", "nearest valid: 2147483647"),
]

CONSISTENCY = [
    ("device.n_states=4 device.dw_min=0.5", "device.dw_min=0.5", "device.n_states=4"),
    ("device.n_states=null", "needs device.n_states or device.dw_min"),
    ("fast_device=ecram fast_device.dw_min=5", "fast_device.dw_min=5", "at least 2 states"),
    ("device=ideal", "device=ideal: aihwkit's compounds do not take it", "algorithm=analog_sgd"),
    ("algorithm=mp device=ideal", "so algorithm=mp does not"),
    ("algorithm=ttv2 device=pcm", "device=pcm: aihwkit's compounds do not", "analog_sgd or mp"),
    ("fast_device=pcm", "fast_device=pcm: aihwkit's compounds do not take it"),
    ("algorithm=analog_sgd fast_device=pow_step", "fast_device=pow_step", "has one device only"),
    ("device=piecewise_step device.piecewise_up=[1]", "needs at least 2 nodes"),
    ("device=piecewise_step device.piecewise_up=[1,1,1]", "as many nodes as device.piecewise_up"),
    ("device=piecewise_step device.piecewise_up=[0,0,0,0,0]", "one node must be above 0"),
    ("model.block_types=[A,A]", "4 blocks: conv1, conv2, fc1, fc2"),
    ("model.block_types=[D,D,D,D]", "at least one analog block"),
    ("optim.momentum=0.9", "optim.momentum=0.9", "algorithm=sgd"),
    ("algorithm=fp_sgd optim.weight_decay=1e-4", "optim.weight_decay=1e-4", "algorithm=sgd"),
    ("algorithm=sgd warm_start.enabled=true", "warm_start.enabled=true", "algorithm=resl has"),
    ("algorithm=analog_sgd warm_start=paper", "warm_start.enabled=true", "algorithm=resl has"),
    ("warm_start=paper warm_start.n_switches=6", "algorithm.n_tiles=6", "nearest valid: 5)"),
    ("warm_start=chained warm_start.period=3", "warm_start.route=direct"),
    ("algorithm.n_tiles=12", "algorithm.transfer_every", "2**31", "algorithm.n_tiles=8)"),
    ("algorithm.n_tiles=7 data.batch_size=128", "algorithm.transfer_every", "2**31"),
    ("algorithm.n_tiles=16 algorithm.transfer_every.growth=1 algorithm.transfer_lr.growth=1000",
     "algorithm.transfer_lr", "above 1e6"),
    ("warm_start=paper warm_start.period=1e7", "warm_start.period=1e7", "2**31"),
    ("data.train_limit=70000", "60000 training images", "nearest valid: 60000"),
    ("data=mnist5k data.train_limit=4001", "4000 training images"),
    ("data=mnist5k data.train_limit=4000 data.val_fraction=0.1", "nearest valid: 3600"),
    ("data.val_fraction=1e-9", "data.val_fraction=1e-9", "leaves 0 of 60000"),
    ("data.batch_size=100 data.train_limit=10", "nearest valid: 10)"),
]  # fmt: skip

SYNTAX = [
    ("run.epochs==3", "run.epochs==3", "nearest valid: run.epochs=3"),
    ("a=[", "a=["),
    ("run.epochs=[3", "run.epochs=[3: can not be read"),
    ("run.epochs", "run.epochs: must be key=value"),
    ("=3", "=3: must be key=value"),
    ("''", "must be key=value"),
    ("~run.epochs", "~run.epochs", "can not be deleted"),
    ("~warm_start", "can not be deleted"),
    ("~algorithm=resl", "can not be deleted"),
    ("+run.epochs=3", "+run.epochs=3", "nearest valid: run.epochs=3"),
    ("run.dir=~/x", "run.dir=~/x", "nearest valid: 'run.dir=\"~/x\"'"),
    ("run.seed=1,2", "run.seed=1,2", "-m"),
    ("'run.seed=range(0,3)'", "run.seed=range(0,3)", "-m"),
    ("'run.epochs=3\nfoo=4'", "run.epochs=3 foo=4"),
    ("'run.epochs=${{foo}}'", "run.epochs=${{foo}}", "foo"),
    ("'run.epochs=${{oc.env:WARMTILE_NO_SUCH}}'", "WARMTILE_NO_SUCH"),
    ("'run.epochs=${{run.dir}}'", "must be a whole number"),
    ("'run.epochs=???'", "run.epochs=???: needs a value"),
    ("--foo", "--foo: unknown option"),
    ("--mulltirun", "nearest valid: --multirun"),
    ("--cfg", "--cfg"),
    ("--cfg foo", "foo"),
    ("--resolve", "--cfg"),
    ("-m --cfg job", "--multirun"),
    ("--config-dir {missing}", "--config-dir={missing}: is not a folder"),
    ("--config-name nope", "--config-name=nope"),
]

PATHS = [
    ("run.dir={file}", "run.dir={file}: is a file"),
    ("run.dir={file}/x", "run.dir={file}/x", "is not a folder"),
    ("'run.dir=\"~no_such_user_here/x\"'", "run.dir", "home directory"),
    ("run.dir=" + "x" * 300, "too long"),
    ("run.resume=must", "run.resume=must: there is no run", "nearest valid: auto"),
    ("run.resume=must run.dir={missing}", "run.dir={missing}"),
    ("run.resume=never run.dir={run}", "run.resume=never", "already holds a run"),
    ("data.root={file}", "data.root={file}: is a file"),
    ("data.root={file}/x", "is not a folder"),
    ("data.root={missing}/deeper/x", "data.root={missing}/deeper/x", "does not exist"),
    ("data.root={missing} data.download=false", "data.download=false"),
    ("data.root=", "data.root='': must not be empty"),
]

GRIDS = [
    ("-m algorithm=resl,resll", "algorithm=resll", "nearest valid: resl)"),
    ("-m device=ecram,ecramm", "device=ecramm", "nearest valid: ecram"),
    ("-m device=ecram,ideal", "device=ideal: aihwkit's compounds do not take it"),
    ("-m device.n_states=4,1", "device.n_states=1: must be at least 2"),
    ("-m device.n_states=4,8 device.dw_min=0.5,0.2", "device.dw_min=0.5", "device.n_states=4"),
    ("-m run.dir=x run.seed=1,2", "run.dir=x", "jobs 1 and 2"),
    ("-m run.seed=1,2,1", "jobs 1 and 3"),
    ("-m 'optim.lr=interval(0,1)'", "optim.lr=interval(0,1)", "sweeper"),
    ("-m 'run.seed=range(0,3)' run.epochs=0,-1", "run.epochs=-1"),
    ("-m 'run.seed=range(0,3'", "run.seed=range(0,3: can not be read"),
    ("-m 'run.seed=range(0,1000000000)'", "1000000000 jobs"),
    ("-m 'run.seed=range(3,3)'", "gives no value"),
    ("-m 'run.seed=choice()'", "run.seed=choice()"),
    ("-m 'run.epochs=sort(3,x)'", "run.epochs=sort(3,x)"),
    ("-m 'algorithm=glob(x*)'", "algorithm=glob(x*): gives no value"),
    ("-m 'algorithm=glob(*)' warm_start.enabled=true", "warm_start.enabled", "algorithm=resl has"),
    ("-m +foo.bar=1,2", "+foo.bar=1,2: unknown key"),
    ("-m +warm_start.nonsense=1,2", "+warm_start.nonsense=1,2: unknown key"),
    ("-m algorithm=resl,sgd algorithm.n_tiles=3,4", "algorithm.n_tiles=3", "not of algorithm=sgd"),
    ("-m run.dir={missing},{file}", "run.dir={file}: is a file"),
    ("-m run.epochs=1,2.5", "run.epochs=2.5: must be a whole number"),
    ("run.seed=1,x -m", "run.seed=x: must be a whole number"),
    ("hydra.mode=MULTIRUN run.seed=1,x", "run.seed=x: must be a whole number"),
    ("-m ~run.epochs", "can not be deleted"),
    ("-m experiment=lenet5_mnist,lenet5_mnst", "experiment=lenet5_mnst"),
    ("-m algorithm=ttv1,ttv5", "algorithm=ttv5", "must be one of"),
    ("-m algorithm=ttv1,ttv2 algorithm.thres_scale=1,2", "not of algorithm=ttv1"),
    ("-m algorithm=ttv2 algorithm.momentum=0.1,1", "algorithm.momentum=1: must be"),
    ("-m algorithm=ttv2 algorithm.fast_lr=0.1,0", "algorithm.fast_lr=0: must be above 0"),
    ("-m algorithm=ttv1 algorithm.transfer_every=1,1e9", "algorithm.transfer_every", "2**31"),
    ("-m algorithm=ttv4 algorithm.in_chop_prob=0,1.5", "algorithm.in_chop_prob=1.5", "at most 1"),
    ("-m algorithm=mp algorithm.transfer_every=1,0", "algorithm.transfer_every=0"),
    ("-m algorithm=mp,resl algorithm.gamma=0.5", "algorithm.gamma", "not of algorithm=mp"),
    ("-m algorithm=analog_sgd,ttv2 warm_start.enabled=true", "warm_start.enabled", "false"),
    ("-m algorithm=ttv2 optim.momentum=0,0.9", "optim.momentum=0.9", "algorithm=sgd"),
    ("-m algorithm.n_tiles=4,17", "algorithm.n_tiles=17: must be at least 2 and at most 16"),
    ("-m algorithm.gamma=0.1,2", "algorithm.gamma=2: must be"),
    ("-m data=mnist5k,mnist6k", "data=mnist6k", "nearest valid: mnist5k"),
    ("-m data=mnist5k data.train_limit=100,5000", "data.train_limit=5000", "4000"),
    ("-m data.batch_size=8,0", "data.batch_size=0: must be at least 1"),
    ("-m data.val_fraction=0,1", "data.val_fraction=1: must be"),
    ("-m io=perfect,noisy", "io=noisy", "must be one of"),
    ("-m optim=step,linear", "optim=linear", "must be one of"),
    ("-m warm_start=paper,papr", "warm_start=papr", "nearest valid: paper"),
    ("-m run.threads=1,0", "run.threads=0: must be at least 1"),
    ("-m run.engine=fast,quick", "run.engine=quick: must be one of"),
    ("-m run.device=cpu,cuda", "run.device=cuda"),
    ("-m checkpoint.keep=1,0", "checkpoint.keep=0: must be at least 1"),
    ("-m tracking=[],[wand]", "tracking"),
    ("-m model.block_types=[A,A,A,A],[A,A]", "model.block_types", "lenet5 has 4 blocks"),
]

ALL = [*NAMES, *OPTIONS, *TYPES, *RANGES, *CONSISTENCY, *SYNTAX, *PATHS, *GRIDS]


@pytest.fixture
def places(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "file").write_text("not a folder\n")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text("name: null\n")
    return {name: str(tmp_path / name) for name in ("file", "missing", "run")}


def argv_of(command: str, places: dict[str, str]) -> list[str]:
    return [text.format(**places) for text in shlex.split(command)]


@pytest.mark.parametrize(("command", "texts"), [(c, t) for c, *t in ALL], ids=[c for c, *_ in ALL])
def test_one_line_and_nothing_written(command, texts, cli, jobs, places, tree, tmp_path):
    before = tree(tmp_path)
    answer = cli(*argv_of(command, places))
    assert answer.status == 2
    assert answer.out == ""
    assert answer.err.startswith("warmtile: ")
    assert answer.err.count("\n") == 1
    for text in texts:
        assert text.format(**places) in answer.err
    assert tree(tmp_path) == before
    assert jobs.seen == []


# The same through a process of its own: what is imported, and that nothing is left behind.
PROCESSES = [
    "+warm_start.nonsense=1",
    "device.n_states=1",
    "algorithm=resll",
    "model.block_types=[A,B]",
    "run.epochs==3",
    "a=[",
    "~run.epochs",
    "device.n_states=4 device.dw_min=0.5",
    "run.dir={file}",
    "--foo",
    "-m algorithm=resl,resll",
    "-m device.n_states=4,1",
]

PROGRAM = """
import sys
from runner.app import main
status = main()
assert not {"torch", "numpy", "aihwkit"} & set(sys.modules), "heavy imports"
sys.exit(status)
"""


@pytest.mark.parametrize("command", PROCESSES)
def test_process(command, places, tree, tmp_path):
    before = tree(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *argv_of(command, places)],
        cwd=tmp_path,
        env=_environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("warmtile: ")
    assert done.stderr.count("\n") == 1
    assert tree(tmp_path) == before


def test_module_and_its_help(places, tree, tmp_path):
    before = tree(tmp_path)
    command = [sys.executable, "-m", "runner"]
    place = {"cwd": tmp_path, "env": _environment(), "capture_output": True, "text": True}
    bad = subprocess.run([*command, "algorithm=resll"], timeout=60, check=False, **place)
    assert (bad.returncode, bad.stdout) == (2, "")
    good = subprocess.run([*command, "--help"], timeout=60, check=False, **place)
    assert (good.returncode, good.stderr) == (0, "")
    assert "algorithm.n_tiles" in good.stdout
    assert tree(tmp_path) == before


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}


KEYS = st.sampled_from(
    ["algorithm", "algorithm.gamma", "device.n_states", "run.dir", "run.epochs", "tracking", "name"]
)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)


@functools.cache
def composer() -> Composer:
    return Composer()


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.one_of(
            TEXTS,
            st.builds("{}={}".format, KEYS, TEXTS),
            st.builds("{}={}".format, TEXTS, TEXTS),
            st.builds("{}{}={}".format, st.sampled_from(["+", "++", "~"]), KEYS, TEXTS),
        ),
        max_size=3,
    )
)
def test_any_text_is_a_config_or_one_line(overrides):
    try:
        outcome = composer().one(overrides)
    except ConfigError as error:
        outcome = str(error)
    assert isinstance(outcome, Config) or (outcome and outcome.isprintable())
