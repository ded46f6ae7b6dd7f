module github.com/codegrant/codegrant/examples/echo

go 1.26.0

replace github.com/codegrant/codegrant => ../..

require (
	github.com/codegrant/codegrant v0.0.0
	github.com/labstack/echo/v4 v4.16.0
	github.com/stretchr/testify v1.12.1
)
