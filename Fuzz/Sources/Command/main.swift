import FuzzKit

FuzzTarget.run(oneOf: FuzzTarget.command)
